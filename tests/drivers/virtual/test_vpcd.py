"""The vpcd carrier before pcscd, read by programs that know nothing of us: opensc, pcsc-tools."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator

import pytest

from drivers.virtual.cards.cpu import AID
from drivers.virtual.vpcd import VpcdCarrier
from tests.drivers.virtual.technician import CREDENTIAL, READ, SELECT, personalised_card
from tests.services.pcscd import Pcscd, running_pcscd

pytestmark = pytest.mark.pcscd

DEADLINE_S = 20.0
ATR = "3B 8F 80 01 80 73 80 21 C0 59 54 41 50 4C 45 44 47 45 52 9D"


@pytest.fixture
def server() -> Iterator[Pcscd]:
    """A pcscd of the test's own: its clients are other processes."""
    with running_pcscd() as server:
        yield server


@pytest.fixture
def carrier(server: Pcscd) -> Iterator[VpcdCarrier]:
    carrier = VpcdCarrier("127.0.0.1", server.ports[0])
    yield carrier
    carrier.close()


def ask(server: Pcscd, *command: str, told: str = "") -> str:
    """What a client program prints on both streams, in one line, whatever its exit status."""
    program = shutil.which(command[0])
    if program is None:
        pytest.skip(f"needs Debian's opensc and pcsc-tools ({command[0]} is not here)")
    ran = subprocess.run(
        [program, *command[1:]],
        env=server.environment,
        input=told,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )
    return " ".join((ran.stdout + ran.stderr).split())


def read_atr(server: Pcscd, slot: int = 0) -> str:
    """The ATR that opensc-tool sees, or what it says instead."""
    return ask(server, "opensc-tool", "-r", str(slot), "-a")


def wait_for_atr(server: Pcscd, atr: str, slot: int = 0) -> None:
    """Wait until the slot holds the card, or none (an empty ATR)."""
    deadline = time.monotonic() + DEADLINE_S
    wanted = atr.replace(" ", ":").lower()
    while (seen := read_atr(server, slot)) != wanted:
        if not wanted and "not present" in seen:
            return
        assert time.monotonic() < deadline, seen


def test_opensc_reads_the_answer_to_reset_and_speaks_to_the_card(
    server: Pcscd, carrier: VpcdCarrier
) -> None:
    carrier.insert(personalised_card())
    wait_for_atr(server, ATR)
    said = ask(server, "opensc-tool", "-r", "0", "-s", SELECT.hex(":"), "-s", READ.hex(":"))
    assert f"6F 27 84 0B {AID.hex(' ').upper()}" in said
    assert CREDENTIAL[:16].hex(" ").upper() in said
    assert said.count("SW1=0x90, SW2=0x00") == 2


def test_scriptor_selects_and_resets(server: Pcscd, carrier: VpcdCarrier) -> None:
    carrier.insert(personalised_card())
    wait_for_atr(server, ATR)
    script = f"{SELECT.hex(' ')}\n{READ.hex(' ')}\nreset\n{READ.hex(' ')}\n"
    said = ask(server, "scriptor", "-r", server.readers[0], told=script)
    assert said.count("90 00 : Normal processing.") == 2
    assert f"< OK: {ATR}" in said
    assert "69 85 :" in said


def test_pcsc_scan_finds_nothing_wrong_with_the_answer_to_reset(
    server: Pcscd, carrier: VpcdCarrier
) -> None:
    carrier.insert(personalised_card())
    wait_for_atr(server, ATR)
    said = ask(server, "pcsc_scan", "-t", "1")
    assert f"ATR: {ATR}" in said
    assert "correct checksum" in said
    assert "Extended Lc and Le fields" in said


def test_a_card_pulled_is_seen_to_go_and_another_to_come(
    server: Pcscd, carrier: VpcdCarrier
) -> None:
    carrier.insert(personalised_card())
    wait_for_atr(server, ATR)
    carrier.remove()
    wait_for_atr(server, "")
    other = personalised_card(t0=True)
    carrier.insert(other)
    wait_for_atr(server, other.atr.hex(" "))


def test_a_card_swapped_in_one_move_is_seen_as_another(server: Pcscd, carrier: VpcdCarrier) -> None:
    cards = {t0: personalised_card(t0=t0) for t0 in (False, True)}
    for t0 in (False, True, False, True):
        carrier.insert(cards[t0])
        wait_for_atr(server, cards[t0].atr.hex(" "))


@pytest.mark.parametrize("lost", ["command", "answer"])
def test_a_card_torn_out_in_the_middle(server: Pcscd, carrier: VpcdCarrier, lost: str) -> None:
    carrier.insert(personalised_card())
    wait_for_atr(server, ATR)
    carrier.faults.cut_after(1, answer_lost=lost == "answer")
    assert "SW1" not in ask(server, "opensc-tool", "-r", "0", "-s", SELECT.hex(":"))
    wait_for_atr(server, "")
    carrier.insert(personalised_card())
    wait_for_atr(server, ATR)


def test_a_mute_card_answers_nothing_until_it_is_pulled(
    server: Pcscd, carrier: VpcdCarrier
) -> None:
    carrier.insert(personalised_card())
    wait_for_atr(server, ATR)
    carrier.faults.silent = True
    command = [shutil.which("opensc-tool") or "", "-r", "0", "-s", SELECT.hex(":")]
    with subprocess.Popen(
        command, env=server.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as client:
        with pytest.raises(subprocess.TimeoutExpired):
            client.wait(1.0)
        carrier.remove()
        assert b"SW1" not in client.communicate(timeout=DEADLINE_S)[0]


def test_a_card_that_stays_in_outlives_pcscd(server: Pcscd, carrier: VpcdCarrier) -> None:
    carrier.insert(personalised_card())
    wait_for_atr(server, ATR)
    server.kill()
    assert "SW1" not in ask(server, "opensc-tool", "-r", "0", "-s", SELECT.hex(":"))
    server.start()
    wait_for_atr(server, ATR)


def test_two_servers_at_once_see_each_its_own_card(server: Pcscd, carrier: VpcdCarrier) -> None:
    with (
        running_pcscd() as other,
        contextlib.closing(VpcdCarrier("127.0.0.1", other.ports[1])) as others,
    ):
        carrier.insert(personalised_card())
        others.insert(personalised_card(t0=True))
        wait_for_atr(server, ATR)
        wait_for_atr(other, personalised_card(t0=True).atr.hex(" "), slot=1)
        assert "not present" in read_atr(server, 1)
        assert "not present" in read_atr(other, 0)
