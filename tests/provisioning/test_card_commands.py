"""The card commands as they are typed, against a real cloud and a real reader stack."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from typer.testing import CliRunner

from drivers.virtual.cards.cpu import CpuCard
from drivers.virtual.cards.cpu_state import CpuState
from drivers.virtual.phone import VirtualPhone
from drivers.virtual.pn532 import Pn532Device
from protocol import base45
from protocol.credential import card_reference
from protocol.qr_credential import verify
from protocol.signing import P256Signer
from provisioning.__main__ import app
from provisioning.cards import FAMILIES
from provisioning.cloud_api import CloudApi
from provisioning.demo.blanks import BLANKS
from provisioning.demo.residents import TENANT
from provisioning.demo.town import Town
from provisioning.errors import BadPhoneKey, CloudRefused, CloudUnreachable, LoadTorn
from tests.provisioning.card_desk import TRANSPORT

pytestmark = pytest.mark.broker_nats


@pytest.fixture
def at_cloud(town: Town, tmp_path: Path) -> list[str]:
    """Options that name the cloud."""
    (tmp_path / "token").write_text(town.token)
    return ["--cloud", town.cloud_url, "--token-file", str(tmp_path / "token")]


def run(*arguments: str) -> str:
    """Run a command that succeeds; return what it printed."""
    result = CliRunner().invoke(app, ["card", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def refused(*arguments: str) -> str:
    """Run a command that is typed wrongly; return what is said of it, on one line."""
    result = CliRunner().invoke(app, ["card", *arguments])
    assert result.exit_code == 2, result.output
    return " ".join(result.output.replace("│", " ").split())


@pytest.mark.parametrize("kind", ["desfire", "file_card", "ntag424", "ntag424 --lrp"])
def test_a_card_is_made_shown_and_loaded(
    town: Town, api: CloudApi, device: Pn532Device, tmp_path: Path, at_cloud: list[str], kind: str
) -> None:
    family, *mode = kind.split()
    town.authority.site_key("site-1")
    keys = ["--authority", str(town.authority.folder), "--reader", f"nfc=tty:{device.path}"]
    (tmp_path / "transport.key").write_text(TRANSPORT.secret.hex())
    delivered = ["--transport-key-file", str(tmp_path / "transport.key")]
    delivered = delivered if FAMILIES[family].transport else []
    member = api.add_member("Lin Mei")
    device.insert(BLANKS[family](TRANSPORT.secret))
    asked = ["--family", family, "--member", member, *mode]
    said = run("personalise", *asked, *delivered, *keys, *at_cloud)
    assert said.startswith("--lrp is for good: " if mode else "Put the blank card on the reader.")
    reference = bytes.fromhex(said.rpartition("is ")[2].strip(". \n"))
    assert api.card_member(reference) == member
    if family == "desfire":
        said = run("load", "--amount", "5000", *keys)
        assert said.endswith("reader.\n50.00 put on; the card holds 50.00.\n")
        said = run("load", "--amount", "50", *keys)
        assert said.endswith("reader.\n0.50 put on; the card holds 50.50.\n")
        assert "balance    50.50\n" in run("show", *keys)
    shown = run("show", *keys)
    assert f"family     {family}\n" in shown
    assert f"reference  {reference.hex()}\nsite       site-1\n" in shown


@pytest.mark.parametrize("family", ["mifare_classic", "uid_only"])
def test_a_number_is_registered(
    town: Town, api: CloudApi, device: Pn532Device, at_cloud: list[str], family: str
) -> None:
    keys = ["--authority", str(town.authority.folder), "--reader", f"nfc=tty:{device.path}"]
    member = api.add_member("Wang Fang")
    device.insert(BLANKS[family](b""))
    said = run("register", "--member", member, *keys, *at_cloud)
    assert f"The {family} card is {member}'s" in said
    assert "only earns" in said
    assert api.card_member(bytes.fromhex(said.split(": ")[1].split(".")[0])) == member


def test_a_phone_gets_a_card_that_a_terminal_takes(
    town: Town, api: CloudApi, tmp_path: Path, at_cloud: list[str]
) -> None:
    keys = ["--authority", str(town.authority.folder)]
    key, member = generate_private_key(SECP256R1()), api.add_member("Zhao Lei")
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    asked = ["--public-key", point.hex(), "--member", member, *keys, *at_cloud]
    run("phone", str(tmp_path / "card.txt"), *asked)
    issued = base45.decode((tmp_path / "card.txt").read_text())
    now_s = int((tmp_path / "card.txt").stat().st_mtime)
    phone = VirtualPhone(issued, P256Signer(key), lambda: now_s, bytes)
    issuer = town.authority.cards.issuer.verifier
    verified = verify(phone.code(), {issuer.key_id: issuer}, TENANT, now_s)
    named = verified.credential.card_id
    reference = card_reference(town.authority.cards.reference, "qr_credential", named)
    assert api.card_member(reference) == member
    run("phone", str(tmp_path / "card.png"), *asked)
    assert (tmp_path / "card.png").read_bytes().startswith(b"\x89PNG")
    wrong = ["card", "phone", str(tmp_path / "no"), *asked, "--public-key", "04"]
    assert isinstance(CliRunner().invoke(app, wrong).exception, BadPhoneKey)
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--family", "cpu"], "need --transport-key-file"),
        (["--family", "mifare"], "is not one of"),
        (["--family", "desfire", "--lrp"], "have no LRP mode"),
    ],
)
def test_what_is_missing_is_said(arguments: list[str], words: str, tmp_path: Path) -> None:
    common = ["--member", "m", "--authority", str(tmp_path), "--cloud", "http://127.0.0.1"]
    command = ["card", "personalise", *common, "--token-file", str(tmp_path / "t"), *arguments]
    assert words in refused(*command[1:])


@pytest.mark.parametrize(
    "amount", ["50.00", "50.5", "1_0", "+5", "-5", " 5", "\u0665", "0", "", "5,0"]
)
def test_an_amount_is_digits_alone(amount: str, tmp_path: Path) -> None:
    said = refused("load", "--amount", amount, "--authority", str(tmp_path))
    assert "minor units: 5000 is 50.00" in said


def test_a_torn_load_says_what_became_of_it(
    town: Town, api: CloudApi, device: Pn532Device, at_cloud: list[str]
) -> None:
    town.authority.site_key("site-1")
    keys = ["--authority", str(town.authority.folder), "--reader", f"nfc=tty:{device.path}"]
    card = BLANKS["desfire"](b"")
    device.insert(card)
    arguments = ["card", "load", "--amount", "50", *keys]
    personalised = ["--family", "desfire", "--member", api.add_member("Li Na"), *at_cloud]
    run("personalise", *personalised, *keys)
    said = []
    for at in range(1, 40):
        device.faults.cut_after(at, answer_lost=True)
        torn = CliRunner().invoke(app, arguments).exception
        device.faults.clear()
        device.insert(card)
        if torn is None:
            break
        if isinstance(torn, LoadTorn):
            said.append(run(*arguments[1:]).partition("\n")[2])
    balance = 50 * len(said)
    assert said[0] == "An earlier load had not arrived.\n0.50 put on; the card holds 0.50.\n"
    holds = f"the card holds {balance / 100:.2f}.\n"
    assert said[-1] == f"An earlier load had arrived: nothing more was put on; {holds}"


def test_a_site_that_nobody_enrolled_gets_no_place(
    town: Town, at_cloud: list[str], device: Pn532Device
) -> None:
    before = town.authority.site_keys()
    keys = ["--authority", str(town.authority.folder), "--reader", f"nfc=tty:{device.path}"]
    asked = ["--member", "m-1", "--family", "desfire", *keys, *at_cloud]
    assert "`terminal enrol`" in refused("personalise", "--site", "site-9", *asked)
    assert town.authority.site_keys() == before


@pytest.mark.parametrize(
    ("option", "content", "words"),
    [
        ("--token-file", None, "cannot be read: No such file"),
        ("--token-file", b"\xff", "it is no text"),
        ("--token-file", b"two\nlines", "does not hold a token"),
        ("--token-file", b"", "does not hold a token"),
        ("--transport-key-file", None, "cannot be read: No such file"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    option: str, content: bytes | None, words: str, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("t")
    if content is not None:
        (tmp_path / "f").write_bytes(content)
    asked = ["--member", "m", "--authority", str(tmp_path), "--cloud", "http://127.0.0.1"]
    asked += ["--family", "desfire", "--token-file", str(tmp_path / "token")]
    assert words in refused("personalise", *asked, option, str(tmp_path / "f"))


def test_a_card_is_not_written_for_nobody(
    town: Town, api: CloudApi, device: Pn532Device, tmp_path: Path, at_cloud: list[str]
) -> None:
    """An unknown member, a wrong token, a cloud that is not there: found before."""
    (tmp_path / "transport.key").write_text(TRANSPORT.secret.hex())
    (tmp_path / "wrong").write_text("tl_wrong")
    card = CpuCard(CpuState.blank(os.urandom(16), TRANSPORT.secret))
    device.insert(card)
    keys = ["--authority", str(town.authority.folder), "--reader", f"nfc=tty:{device.path}"]
    keys += ["--transport-key-file", str(tmp_path / "transport.key"), *at_cloud]
    ann = ["--member", api.add_member("Ann")]
    for wrong, error, words in (
        (["--member", "nobody"], CloudRefused, "404 unknown_member"),
        ([*ann, "--token-file", str(tmp_path / "wrong")], CloudRefused, "401 not_authenticated"),
        ([*ann, "--cloud", "http://127.0.0.1:1"], CloudUnreachable, "127.0.0.1:1"),
    ):
        found = CliRunner().invoke(app, ["card", "personalise", *keys, *wrong]).exception
        assert isinstance(found, error), found
        assert words in str(found)
        assert card.state == CpuState.blank(card.state.serial, TRANSPORT.secret)
    run("personalise", *keys, *ann)
