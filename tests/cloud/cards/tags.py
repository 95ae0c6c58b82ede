"""Tags for tests: what a phone is sent to when it is held to one."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.card_keys import SiteKey
from protocol.estate import EstateKey
from protocol.sun import LRP_PICC_BYTES, PiccData, SunMode, seal_file, seal_picc, sun_mac
from protocol.sun_link import LABEL_BYTES, file_key, meta_key
from tests.cloud.town import TENANT

ESTATE = EstateKey(bytes(range(32)))
QUAY = ESTATE.site_key("quay")
_BLOCK = 16
_HEAD_BYTES = 11  # of a PICC block: tag, UID and counter


@dataclass
class Tag:
    """One tag of a site; ``counter`` is how often it was read."""

    uid: bytes = bytes.fromhex("04a23b1c5d6e80")
    mode: SunMode = SunMode.AES
    site: SiteKey = QUAY
    label: str = TENANT
    counter: int = 0

    def read(self) -> str:
        """The query of the link that it writes for its next read."""
        self.counter += 1
        picc = PiccData(self.uid, self.counter, self.mode)
        start = LRP_PICC_BYTES - _BLOCK if self.mode is SunMode.LRP else 0
        key = file_key(self.site, self.uid)
        sealed = seal_picc(meta_key(self.site), picc, bytes(start + _BLOCK - _HEAD_BYTES))
        file = seal_file(picc, key, self.label.encode().ljust(LABEL_BYTES))
        window = f"{self.site.site}&p={sealed.hex().upper()}&e={file.hex().upper()}&m="
        mac = sun_mac(picc, key, window.encode())
        return f"s={window}{mac.hex().upper()}"
