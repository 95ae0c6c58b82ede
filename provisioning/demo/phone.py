"""A member's phone in the demo: it made its own key, and shows a new code each time it is asked."""

from __future__ import annotations

import os
import time

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from protocol.qr_credential import NONCE_BYTES, SLOT_S, show
from protocol.signing import P256Signer


class MemberPhone:
    """``issued`` is what the issuer gave it for its ``public_key`` (SEC 1 compressed)."""

    def __init__(self) -> None:
        self._key = P256Signer(generate_private_key(SECP256R1()))
        self.issued = b""

    @property
    def public_key(self) -> bytes:
        """What the issuer is told."""
        return self._key.verifier.public

    def code(self) -> str:
        """Return the text of a new code.

        The phone's clock is as fast as it may be: a terminal takes no code of the half minute in
        which it started, and the demo's day is not much longer.
        """
        now_s = int(time.time()) + SLOT_S
        return show(self.issued, self._key, now_s, os.urandom(NONCE_BYTES))
