"""The chain itself: broker, cloud and terminals as processes, lines between them, members, cards.

What happens in it is day's; what it proves is verdict's.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from drivers.virtual.pcscd import Pcscd, may_run, running_pcscd
from drivers.virtual.serial_line import SerialLine
from protocol.topics import Address, address
from provisioning.authority import LOOPBACK_NAMES, Authority, Identity, init
from provisioning.brokers.port import BrokerKind, BrokerSettings
from provisioning.cloud_api import CloudApi
from provisioning.cloud_folder import CONFIGURATION, CloudPlace, furnish
from provisioning.demo.plan import SITES, TAG_TERMINAL, TERMINALS, TOP_UPS
from provisioning.demo.readings import TERMINALS_FOLDER
from provisioning.demo.residents import TENANT, HeldCard, make_cards
from provisioning.demo.slots import Device, Second, Slot, nfc_slot, pcsc_slot
from provisioning.demo.till import Till
from provisioning.enrol import TILL_TOKEN, Surroundings, enrol
from provisioning.errors import DidNotStart
from provisioning.line import Line
from provisioning.processes import Child, answers, free_port
from provisioning.vault import private_folder

# The ledger's database, in the town's folder.
LEDGER = Path("cloud/data/ledger.db")
# Which terminal has a contact reader, where PC/SC and its virtual reader are installed.
PCSC_TERMINAL = "t-0002"
# Two cores that start five Python programs at once are busy for a while.
START_S = 60.0
_ROOT = Path(__file__).parents[2]


@dataclass(slots=True)
class Terminal:
    """One terminal: reader here, agent a process. ``lock``: one customer at a time."""

    at: Address
    folder: Path
    port: int
    slot: Slot
    agent: Child
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def device(self) -> Device:
        """Where cards are put."""
        return self.slot.device

    @property
    def url(self) -> str:
        """Where its pages and its till API are."""
        return f"http://127.0.0.1:{self.port}"

    def till(self) -> Till:
        """A new client of its till API."""
        return Till(self.url, (self.folder / TILL_TOKEN).read_text())

    @property
    def tls(self) -> Identity:
        """With what it speaks to the broker."""
        return Identity(self.folder / "ca.pem", self.folder / "tls.pem", self.folder / "tls.key")


class Town:
    """Everything in one folder: ``open`` starts it, ``close`` ends every process, always.

    Open and close it, and restart its parts, from the thread that lives longest. ``database`` is
    the ledger's URL; empty = SQLite in the folder.
    """

    database = ""

    def __init__(self, folder: Path, broker: BrokerKind) -> None:
        self.folder = private_folder(folder)
        self.logs = private_folder(folder / "logs")
        self.authority: Authority = init(folder / "authority", TENANT, datetime.now(UTC))
        self.broker_port, self.cloud_port = free_port(), free_port()
        self.broker = self._make_broker(broker)
        self.cloud = self._child("cloud", self._cloud_command("serve"))
        self.lines = {site: Line(self.broker_port) for site in sorted(set(SITES.values()))}
        self.terminals: dict[str, Terminal] = {}
        self.cards: dict[str, HeldCard] = {}
        self.token = ""
        self._stack = ExitStack()
        self._pcscd: Pcscd | None = None

    @property
    def cloud_url(self) -> str:
        """Where API and console are."""
        return f"http://127.0.0.1:{self.cloud_port}"

    @property
    def ledger(self) -> Path:
        """The ledger's database."""
        return self.folder / LEDGER

    def api(self) -> CloudApi:
        """A new client of the cloud's API."""
        return CloudApi(self.cloud_url, self.token)

    def open(self, said: Callable[[str], None]) -> None:
        """Start everything, enrol the terminals, make the members and their cards."""
        if may_run():
            self._pcscd = self._stack.enter_context(running_pcscd())
        said("the cloud makes its keys and its ledger")
        self.open_cloud()
        api = self.api()
        try:
            for name in TERMINALS:
                said(f"terminal {name} is enrolled")
                self.terminals[name] = self._enrol(name, api)
                self.terminals[name].agent.start()
            said("members get their cards")
            self.cards = make_cards(self.authority, api, self.folder)
        finally:
            api.close()
        for terminal in self.terminals.values():
            said(f"terminal {terminal.at.terminal} becomes ready")
            self.wait_ready(terminal)

    def open_cloud(self) -> None:
        """Start the broker and a new cloud, and wait until both serve."""
        self.broker.start()
        self._init_cloud()
        self.broker.wait_ready(lambda: answers(self.broker_port), START_S)
        self.start_cloud()

    def close(self) -> None:
        """End every process and give every port back."""
        agents = [terminal.agent for terminal in self.terminals.values()]
        for child in (*agents, self.cloud):
            child.ask_to_end()
        for child in (*agents, self.cloud, self.broker):
            child.stop()
        for line in self.lines.values():
            line.close()
        for terminal in self.terminals.values():
            terminal.device.close()
        self._stack.close()

    def start_broker(self) -> None:
        """Start the broker and wait until it takes connections."""
        self.broker.start()
        self.broker.wait_ready(lambda: answers(self.broker_port), START_S)

    def start_cloud(self) -> None:
        """Start the cloud and wait until it serves."""
        self.cloud.start()
        self.cloud.wait_ready(lambda: answers(self.cloud_port), START_S)

    def wait_ready(self, terminal: Terminal) -> None:
        """Return once the terminal's pages answer."""
        terminal.agent.wait_ready(lambda: answers(terminal.port), START_S)

    def _child(
        self, name: str, command: list[str], environment: Mapping[str, str] | None = None
    ) -> Child:
        path = os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        return Child(
            name, command, self.logs / f"{name}.log", {"PYTHONPATH": path, **(environment or {})}
        )

    def _make_broker(self, kind: BrokerKind) -> Child:
        settings = BrokerSettings(
            folder=self.folder / "broker",
            port=self.broker_port,
            server=self.authority.server(LOOPBACK_NAMES, datetime.now(UTC)),
            tenant=TENANT,
            terminals=tuple(_address(name) for name in TERMINALS),
        )
        return self._child("broker", kind.configure(settings))

    def _cloud_command(self, verb: str) -> list[str]:
        config = self.folder / "cloud" / CONFIGURATION
        return [sys.executable, "-m", "cloud", "--config", str(config), verb]

    def _init_cloud(self) -> None:
        """Configure the cloud; the token that it prints once is ours from now on."""
        place = CloudPlace(
            data_dir="data",
            broker_host="127.0.0.1",
            broker_port=self.broker_port,
            http_port=self.cloud_port,
            database=self.database,
        )
        furnish(self.folder / "cloud", place, self.authority, datetime.now(UTC))
        child = self._child("cloud-init", self._cloud_command("init"))
        child.start()
        status = child.wait(START_S)
        output = child.log.read_text()
        if status != 0 or not output.split():
            raise DidNotStart(f"cloud init ended with {status}: {output[-500:]}")
        self.token = output.split()[-1]
        child.log.unlink()  # a secret that is kept in one place, this process

    def _enrol(self, name: str, api: CloudApi) -> Terminal:
        at, port = _address(name), free_port()
        line = SerialLine(private_folder(self.folder / "scanners" / name))
        second = Second(line, tags=name == TAG_TERMINAL)
        contacts = self._pcscd if name == PCSC_TERMINAL else None
        slot = pcsc_slot(contacts, second) if contacts else nfc_slot(second)
        folder = self.folder / TERMINALS_FOLDER / name
        around = Surroundings(
            broker_host="127.0.0.1",
            broker_port=self.lines[at.site].port,
            reader_kind=slot.kind,
            reader_path=slot.path,
            scanner_kind=slot.second.kind,
            scanner_path=slot.second.path,
            allow_virtual_reader=slot.virtual,
            http_port=port,
            top_ups=TOP_UPS,
        )
        config = enrol(folder, at, around, self.authority, api, datetime.now(UTC))
        command = [sys.executable, "-m", "edge", "--config", str(config)]
        agent = self._child(name, command, slot.environment)
        return Terminal(at, folder, port, slot, agent)


def _address(name: str) -> Address:
    return address(TENANT, SITES[name], name)
