"""The card commands as they are typed, against a real cloud and a real reader stack."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from typer.testing import CliRunner

from drivers.virtual.phone import VirtualPhone
from drivers.virtual.pn532 import Pn532Device
from protocol import base45
from protocol.credential import card_reference
from protocol.qr_credential import verify
from protocol.signing import P256Signer
from provisioning.__main__ import app
from provisioning.cards import FAMILIES
from provisioning.cloud_api import CloudApi
from provisioning.demo.blanks import BLANKS, NUMBER
from provisioning.demo.residents import TENANT
from provisioning.demo.town import Town
from provisioning.errors import BadPhoneKey
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


@pytest.mark.parametrize("family", ["desfire", "file_card", "ntag424"])
def test_a_card_is_made_shown_and_loaded(
    town: Town, api: CloudApi, device: Pn532Device, tmp_path: Path, at_cloud: list[str], family: str
) -> None:
    town.authority.site_key("site-1")
    keys = ["--authority", str(town.authority.folder), "--reader", f"nfc=tty:{device.path}"]
    (tmp_path / "transport.key").write_text(TRANSPORT.secret.hex())
    delivered = ["--transport-key-file", str(tmp_path / "transport.key")]
    delivered = delivered if FAMILIES[family].transport else []
    member = api.add_member("Lin Mei")
    device.insert(BLANKS[family](TRANSPORT.secret))
    said = run("personalise", "--family", family, "--member", member, *delivered, *keys, *at_cloud)
    reference = bytes.fromhex(said.rpartition("is ")[2].strip(". \n"))
    assert api.card_member(reference) == member
    if family == "desfire":
        assert run("load", "--amount", "5000", *keys).endswith("The card holds 50.00.\n")
        assert "balance    50.00\n" in run("show", *keys)
    shown = run("show", *keys)
    assert f"family     {family}\n" in shown
    assert f"reference  {reference.hex()}\nsite       site-1\n" in shown


def test_a_number_is_registered(
    town: Town, api: CloudApi, device: Pn532Device, at_cloud: list[str]
) -> None:
    keys = ["--authority", str(town.authority.folder), "--reader", f"nfc=tty:{device.path}"]
    member = api.add_member("Wang Fang")
    device.insert(BLANKS[NUMBER](b""))
    said = run("register", "--member", member, *keys, *at_cloud)
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
    ],
)
def test_what_is_missing_is_said(arguments: list[str], words: str, tmp_path: Path) -> None:
    common = ["--member", "m", "--authority", str(tmp_path), "--cloud", "http://127.0.0.1"]
    command = ["card", "personalise", *common, "--token-file", str(tmp_path / "t"), *arguments]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2
    assert words in " ".join(result.output.replace("│", " ").split())
