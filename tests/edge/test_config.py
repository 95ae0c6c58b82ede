"""edge.toml: every mistake is named with its key and its file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge import config, keys, wiring
from edge.__main__ import EXIT_CONFIGURATION, main
from edge.errors import BadConfig, InUse
from protocol.topics import address
from provisioning.authority import private_pem
from run import ROOT
from tests.edge.world import CLOUD_KEY, RULES_KEY, TERMINAL_KEY, granted

GOOD = f"""
tenant = "harbour"
site = "site-1"
terminal = "t-0001"
[keys]
signing = "signing.pem"
grant = "grant.cose"
reference = "reference.key"
site = "site.key"
cloud = ["-8:{CLOUD_KEY.verifier.public.hex()}"]
rules = ["-8:{RULES_KEY.verifier.public.hex()}"]
issuers = ["-8:{CLOUD_KEY.verifier.public.hex()}"]
[mqtt]
host = "127.0.0.1"
port = 8883
ca = "ca.pem"
certificate = "tls.pem"
key = "tls.key"
[reader]
kind = "nfc"
path = "tty:/dev/ttyUSB0"
[http]
port = 8100
token_file = "till.token"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A whole terminal's folder; the broker's files are only looked for."""
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    (tmp_path / "signing.pem").write_bytes(private_pem(key))
    (tmp_path / "grant.cose").write_bytes(granted())
    (tmp_path / "reference.key").write_text("ab" * 32 + "\n")
    (tmp_path / "site.key").write_bytes(_site("site-1"))
    (tmp_path / "till.token").write_text("secret\n")
    for name in ("ca.pem", "tls.pem", "tls.key"):
        (tmp_path / name).touch()
    path = tmp_path / "edge.toml"
    path.write_text(GOOD)
    return path


def check(file: Path) -> None:
    """What check-config does."""
    wiring.check(config.load(file))


def test_a_good_file(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = config.load(file)
    assert settings.at == address("harbour", "site-1", "t-0001")
    assert settings.token() == "secret"
    assert settings.data("journal.db") == file.parent / "data" / "journal.db"
    owner = keys.load_keys(settings).owner
    assert (owner.terminal, owner.epoch, owner.key.key_id) == ("t-0001", 1, TERMINAL_KEY.key_id)
    assert main(["--config", str(file), "check-config"]) == 0
    assert "good, terminal t-0001" in capsys.readouterr().out
    assert not (file.parent / "data").exists(), "checking makes nothing"


def _printer(kind: str, path: str, more: str = "") -> str:
    return f'[printer]\nkind = "{kind}"\npath = "{path}"\n{more}\n[http]'


def test_a_printer_and_a_scanner_may_be_there(file: Path) -> None:
    second = '[scanner]\nkind = "scanner"\npath = "/dev/ttyACM0"\n'
    for kind, path in (("serial", "/dev/ttyS0"), ("network", "10.0.0.9"), ("file", "paper")):
        file.write_text(GOOD.replace("[http]", second + _printer(kind, path)))
        check(file)


def test_what_the_guide_shows_is_taken(file: Path) -> None:
    guide = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^```toml\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)
    file.write_text(f"{GOOD}\n{shown}")
    check(file)
    read = config.load(file).config
    assert read.printer == config.PrinterConfig(kind="usb", path="/dev/usb/lp0", title="港口咖啡")
    assert read.scanner is not None


MISTAKES = {
    "no tenant": ('tenant = "harbour"', "", "missing required field `tenant`"),
    "an unknown key": ("[reader]", "[reader]\nbaud = 9600", "reader: Object contains unknown"),
    "an unknown table": ("[http]", "[web]\n[http]", "unknown field `web`"),
    "a server for others": ("[http]", '[http]\nhost = "0.0.0.0"', "http: Object contains unknown"),
    "a port that is none": ("port = 8883", "port = 88830", "mqtt.port:"),
    "a port in words": ("port = 8883", 'port = "mqtts"', "mqtt.port: Expected `int`"),
    "a key that is none": ('cloud = ["-8:', 'cloud = ["ed25519:', "keys.cloud[0]:"),
    "no key": ('cloud = ["-8', 'cloud = [] # ["-8', "keys.cloud:"),
    "a key too short": ('rules = ["-8:', 'rules = ["-8:00', "keys.rules: -8:00"),
    "an unknown algorithm": ('rules = ["-8:', 'rules = ["-9:', "keys.rules: -9:"),
    "a terminal id that is none": ('"t-0001"', '"T 1"', "tenant, site, terminal: 'T 1'"),
    "another terminal's grant": ('"t-0001"', '"t-0002"', "keys.grant: it is for terminal t-0001"),
    "no such reader": (
        'kind = "nfc"',
        'kind = "magnet"',
        "reader.kind: one of keyboard_wedge, nfc, pcsc",
    ),
    "no such scanner": ("[http]", '[scanner]\nkind = "eye"\n[http]', "scanner.kind: one of"),
    "a scanner without a kind": ("[http]", '[scanner]\npath = "/dev/x"\n[http]', "scanner: Object"),
    "no such printer": (
        "[http]",
        _printer("fax", "0551"),
        "printer.kind: Invalid enum value 'fax'",
    ),
    "a printer nowhere": ("[http]", _printer("serial", ""), "printer.path: Expected `str`"),
    "a printer's port": ("[http]", _printer("network", "a:b"), "printer.path: 'b' is no port"),
    "paper nowhere": ("[http]", _printer("file", "no/p"), "printer.path: there is no folder"),
    "paper too narrow": ("[http]", _printer("usb", "x", "width = 8"), "printer.width: Expected"),
    "a tongue": ("[http]", _printer("usb", "x", 'language = "de"'), "printer.language: Invalid"),
    "not TOML": ("[mqtt]", "[mqtt", "line 13"),
    "a file that is not there": ('"tls.pem"', '"none.pem"', "mqtt.certificate: there is no file"),
}


@pytest.mark.parametrize(("old", "new", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named_with_key_and_file(
    file: Path, old: str, new: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert old in GOOD
    file.write_text(GOOD.replace(old, new))
    with pytest.raises(BadConfig) as caught:
        check(file)
    assert words in caught.value.detail
    assert caught.value.detail.startswith(f"{file}: ")
    assert main(["--config", str(file), "check-config"]) == EXIT_CONFIGURATION
    assert "bad_config" in capsys.readouterr().err


def _site(site: str, secret: str = "5a" * 16, slot: int = 3) -> bytes:
    return f'site = "{site}"\nslot = {slot}\nsecret = "{secret}"\n'.encode()


FILES: dict[str, tuple[str, bytes, str]] = {
    "a signing key that is none": ("signing.pem", b"nonsense", "keys.signing: not a PKCS #8"),
    "a signing key of a wrong curve": (
        "signing.pem",
        private_pem(ec.generate_private_key(ec.SECP384R1())),
        "keys.signing: the key must be Ed25519 or P-256",
    ),
    "another signing key": (
        "signing.pem",
        private_pem(ec.generate_private_key(ec.SECP256R1())),
        "keys.grant: it is for another key",
    ),
    "a grant that the cloud did not sign": ("grant.cose", b"nonsense", "keys.grant: malformed"),
    "a short reference key": ("reference.key", b"abcd", "keys.reference: the file must hold 64"),
    "a site key that is none": ("site.key", b"nonsense", "keys.site: not the file of a site key"),
    "a short site key": ("site.key", _site("site-1", "5ec2e7"), "keys.site: not the file"),
    "a site key without a place": ("site.key", _site("site-1", slot=7), "keys.site: not the file"),
    "the key of another site": ("site.key", _site("site-2"), "keys.site: it is the key of site"),
    "a reference key that is not hex": ("reference.key", b"x" * 64, "keys.reference: the file"),
}


@pytest.mark.parametrize(("name", "content", "words"), FILES.values(), ids=FILES)
def test_a_wrong_file_is_named_by_its_key(
    file: Path, name: str, content: bytes, words: str
) -> None:
    (file.parent / name).write_bytes(content)
    with pytest.raises(BadConfig) as caught:
        check(file)
    assert words in caught.value.detail


def test_no_file_at_all(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match=r"edge\.toml"):
        config.load(tmp_path / "edge.toml")


def test_a_secret_is_never_in_the_message(file: Path) -> None:
    (file.parent / "reference.key").write_text("5ec2e7" * 9)
    with pytest.raises(BadConfig) as caught:
        check(file)
    assert "5ec2e7" not in str(caught.value)


def test_a_data_folder_that_cannot_be_is_named(file: Path) -> None:
    file.write_text(f'data_dir = "{file.name}/data"\n{GOOD}')
    with (
        pytest.raises(BadConfig, match="data_dir: "),
        wiring.only_agent(config.load(file)),
    ):
        pass


def test_two_agents_do_not_share_a_folder(file: Path) -> None:
    settings = config.load(file)
    with (
        wiring.only_agent(settings),
        pytest.raises(InUse, match="another agent"),
        wiring.only_agent(settings),
    ):
        pass
    with wiring.only_agent(settings):
        assert settings.data("").stat().st_mode & 0o077 == 0
