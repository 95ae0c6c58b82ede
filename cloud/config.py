"""cloud.toml: read once and checked whole; says which key of which file is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from cloud.errors import BadConfig
from protocol.configuration import parse
from protocol.errors import Malformed
from protocol.identifiers import check_level

_Port = Annotated[int, Meta(ge=1, le=65535)]


class _Strict(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key that nobody knows is a mistake, not a wish."""


class HttpConfig(_Strict, frozen=True, kw_only=True):
    """API and console. Another host than loopback is for a proxy that ends TLS."""

    host: str = "127.0.0.1"
    port: _Port = 8000


class MqttConfig(_Strict, frozen=True, kw_only=True):
    """The broker; always TLS with a client certificate. Files are relative to cloud.toml."""

    host: str
    port: _Port
    ca: str
    certificate: str
    key: str


class CardsConfig(_Strict, frozen=True, kw_only=True):
    """``estate``: file of the estate's key, with which the cloud checks what cards prove."""

    estate: str


class CloudConfig(_Strict, frozen=True, kw_only=True):
    """The whole file. ``currency`` is the unit of the books, ISO 4217."""

    tenant: str
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}$")] = "CNY"
    data_dir: str = "data"
    database: str = "sqlite:///data/ledger.db"
    http: HttpConfig = HttpConfig()
    mqtt: MqttConfig
    cards: CardsConfig | None = None


class Settings:
    """A checked configuration with the folder that its paths start from."""

    def __init__(self, config: CloudConfig, folder: Path) -> None:
        self.config, self.folder = config, folder

    def path(self, text: str) -> Path:
        """A path of the file, absolute."""
        return self.folder / text

    @property
    def keys(self) -> Path:
        """Where the cloud's own keys are."""
        return self.path(self.config.data_dir) / "keys"

    @property
    def estate(self) -> Path | None:
        """Where the estate's key is; None where cards prove nothing to the cloud."""
        cards = self.config.cards
        return None if cards is None else self.path(cards.estate)


def load(file: Path) -> Settings:
    """Return the settings in ``file``; BadConfig names the key that is wrong."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise BadConfig(f"{file}: {error.strerror}; --config names another file") from error
    except UnicodeDecodeError as error:
        raise BadConfig(f"{file}: {error}") from error
    try:
        config = parse(text, CloudConfig)
    except Malformed as error:
        raise BadConfig(f"{file}: {error.detail}") from error
    try:
        check_level(config.tenant)
    except Malformed as error:
        raise BadConfig(f"{file}: tenant: {error.detail}") from error
    return Settings(config, file.absolute().parent)
