"""edge.toml: read once and checked whole; says which key of which file is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from edge.errors import BadConfig
from protocol.configuration import parse
from protocol.errors import Malformed, ProtocolError
from protocol.signing import VerifyingKey, verifier
from protocol.topics import Address, address

# A name and an amount need this much; no receipt printer is wider.
PAPER_COLUMNS_MIN, PAPER_COLUMNS_MAX = 24, 64

_Port = Annotated[int, Meta(ge=1, le=65535)]
# A COSE algorithm number, then the public key in hex.
_Key = Annotated[str, Meta(pattern=r"^-?[0-9]+:(?:[0-9a-f]{2})+$")]


class _Strict(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key that nobody knows is a mistake, not a wish."""


class KeysConfig(_Strict, frozen=True, kw_only=True):
    """Own key, grant, reference and site key as files; those whose word counts as public keys.

    Without ``site`` only cards that need no secret of ours are known.
    """

    signing: str
    grant: str
    reference: str
    site: str = ""
    cloud: Annotated[tuple[_Key, ...], Meta(min_length=1)]
    rules: Annotated[tuple[_Key, ...], Meta(min_length=1)]
    issuers: Annotated[tuple[_Key, ...], Meta(min_length=1)]


class MqttConfig(_Strict, frozen=True, kw_only=True):
    """The broker; always TLS with a client certificate."""

    host: str
    port: _Port
    ca: str
    certificate: str
    key: str


class ReaderConfig(_Strict, frozen=True, kw_only=True):
    """``kind`` is a file in drivers/readers; ``path`` and ``names`` are its own."""

    kind: str
    path: str = ""
    names: tuple[str, ...] = ()
    allow_virtual: bool = False


class PrinterConfig(_Strict, frozen=True, kw_only=True):
    """``path`` is a device, an address (``:PORT`` may follow) or a file, as ``kind`` says.

    ``width`` in columns: 32 on paper of 58 mm, 48 on 80 mm. ``title`` heads each receipt, else the
    site does. ``always``: an approved order's is printed without being asked for.
    """

    kind: Literal["serial", "usb", "network", "file"]
    path: Annotated[str, Meta(min_length=1)]
    width: Annotated[int, Meta(ge=PAPER_COLUMNS_MIN, le=PAPER_COLUMNS_MAX)] = 32
    language: Literal["zh_CN", "en"] = "zh_CN"
    title: str = ""
    always: bool = False


class HttpConfig(_Strict, frozen=True, kw_only=True):
    """Kiosk page and till API, on 127.0.0.1. Without a token no till is served."""

    port: _Port = 8100
    token: str = ""
    token_file: str = ""
    top_ups: tuple[Annotated[int, Meta(ge=1)], ...] = ()


class EdgeConfig(_Strict, frozen=True, kw_only=True):
    """The whole file. Paths are those written; ``path`` makes them relative to the file."""

    tenant: str
    site: str
    terminal: str
    data_dir: str = "data"
    keys: KeysConfig
    mqtt: MqttConfig
    reader: ReaderConfig
    scanner: ReaderConfig | None = None
    printer: PrinterConfig | None = None
    http: HttpConfig = HttpConfig()


class Settings:
    """A checked configuration with the folder that its paths are relative to."""

    def __init__(self, file: Path, config: EdgeConfig) -> None:
        self.file, self.config = file, config
        self.folder = file.resolve().parent
        try:
            self.at: Address = address(config.tenant, config.site, config.terminal)
        except ProtocolError as error:
            raise BadConfig(f"{file}: tenant, site, terminal: {error.detail}") from error

    def path(self, key: str, written: str) -> Path:
        """Return the path in ``key`` if there is a file; else BadConfig names both."""
        path = self.folder / written
        if not path.is_file():
            raise BadConfig(f"{self.file}: {key}: there is no file {path}")
        return path

    def data(self, name: str) -> Path:
        """Return the path of one of the agent's own files."""
        return self.folder / self.config.data_dir / name

    def read(self, key: str, written: str) -> bytes:
        """Return what the file in ``key`` holds."""
        path = self.path(key, written)
        try:
            return path.read_bytes()
        except OSError as error:
            raise BadConfig(f"{self.file}: {key}: {error}") from error

    def keys(self, key: str, written: tuple[str, ...]) -> dict[bytes, VerifyingKey]:
        """Return public keys by their id."""
        found: dict[bytes, VerifyingKey] = {}
        for text in written:
            algorithm, public = text.split(":")
            try:
                known = verifier(int(algorithm), bytes.fromhex(public))
            except ProtocolError as error:
                raise BadConfig(f"{self.file}: {key}: {text[:12]}...: {error.detail}") from error
            found[known.key_id] = known
        return found

    def token(self) -> str:
        """Return the till's token, from its file if there is one."""
        http = self.config.http
        if not http.token_file:
            return http.token
        return self.read("http.token_file", http.token_file).decode(errors="replace").strip()


def load(file: Path) -> Settings:
    """Read and check ``file``; BadConfig says what is wrong and where."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfig(f"{file}: {error}") from error
    try:
        return Settings(file, parse(text, EdgeConfig))
    except Malformed as error:
        raise BadConfig(f"{file}: {error.detail}") from error
