"""What goes wrong in the day: each done for real, to a real part of the town."""

from __future__ import annotations

import re
import ssl
from random import Random
from threading import Event

import httpx
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from protocol.batch import fitting, pack
from protocol.topics import Up, up_topic
from provisioning.demo.counter import Counter
from provisioning.demo.plan import PlannedTap
from provisioning.demo.readings import newest
from provisioning.demo.town import Terminal, Town
from provisioning.errors import DayUnfinished
from provisioning.processes import wait_until

# A batch as it would be resent: some records, all of them in the ledger already.
REPEATED_RECORDS = 20
PUBLISH_S = 20.0
# A tap takes about this long, so the kill falls anywhere into it.
TAP_MS = 12.0
# This one is opened with five commands and debited with four.
TORN_KIND, DEBIT_APDUS = "desfire", 9


def deliver_twice(town: Town, terminal: Terminal) -> int:
    """Send records that the ledger has a second time, byte for byte; return how many.

    A second client with the terminal's own certificate, as a broker that delivers again. Returns
    once the cloud says that it knew them.
    """
    before = _known_duplicates(town)
    records = newest(terminal.folder, REPEATED_RECORDS)
    records = records[: fitting([len(record) for record in records])]
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"{terminal.at.terminal}-again")
    context = ssl.create_default_context(cafile=str(terminal.tls.ca))
    context.load_cert_chain(terminal.tls.certificate, terminal.tls.key)
    client.tls_set_context(context)
    connected, published = Event(), Event()
    client.on_connect = lambda *_: connected.set()
    client.on_publish = lambda *_: published.set()
    client.connect("127.0.0.1", town.broker_port)
    client.loop_start()
    try:
        if not connected.wait(PUBLISH_S):
            raise DayUnfinished("the second client was not let in")
        client.publish(up_topic(terminal.at, Up.TX), pack(records), qos=1)
        if not published.wait(PUBLISH_S):
            raise DayUnfinished("the second delivery was not taken")
    finally:
        client.disconnect()
        client.loop_stop()
    wait_until(
        lambda: _known_duplicates(town) >= before + len(records), PUBLISH_S, "the second delivery"
    )
    return len(records)


def _known_duplicates(town: Town) -> float:
    """How many records the cloud has found to be there already, by its own count."""
    figures = httpx.get(f"{town.cloud_url}/metrics", trust_env=False, timeout=PUBLISH_S).text
    [count] = re.findall(r"^tapledger_duplicates_total (\S+)$", figures, re.MULTILINE)
    return float(count)


def tear_in_debit(counter: Counter, tap: PlannedTap) -> None:
    """Take the card away behind the last command of its debit, and hold it there again."""
    counter.ask_torn(tap, DEBIT_APDUS)


def crash_in_tap(town: Town, counter: Counter, tap: PlannedTap, random: Random) -> None:
    """Kill the agent between card and answer, start it again, and ask for the same order."""
    terminal = counter.terminal

    def restart() -> None:
        terminal.agent.start()
        town.wait_ready(terminal)

    counter.ask_through_crash(tap, random.uniform(0, TAP_MS) / 1000, restart)
