"""The cloud's HTTP API as provisioning uses it: register terminals, members, cards; publish prices.

It knows paths and shapes; keys and cards are left to enrol and cards.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import quote

import httpx

from protocol.topics import Address
from provisioning.errors import CloudRefused, CloudUnreachable

# The cloud answers in milliseconds; one that takes this long has a problem that a person must see.
TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Registration:
    """What a registered terminal gets; keys as ``<COSE algorithm>:<hex public key>``."""

    grant: bytes
    cloud_keys: tuple[str, ...]
    rules_keys: tuple[str, ...]


class CloudApi:
    """A cloud at ``url``, spoken to with a token; close it when done.

    Every method raises CloudUnreachable or CloudRefused.
    """

    def __init__(self, url: str, token: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        self._client = httpx.Client(
            base_url=url, headers=headers, timeout=TIMEOUT_S, trust_env=False
        )

    def close(self) -> None:
        """Give the connection back."""
        self._client.close()

    def get(self, path: str) -> Any:
        """Return the JSON document at ``path``."""
        return self._call("GET", path)

    def post(self, path: str, document: Mapping[str, Any]) -> Any:
        """Post a JSON document, return the answer's."""
        return self._call("POST", path, document)

    def register_terminal(self, at: Address, algorithm: int, public_key: bytes) -> Registration:
        """Register a terminal by its signing key; within a day it can be repeated."""
        document = {
            "terminal": at.terminal,
            "site": at.site,
            "algorithm": algorithm,
            "public_key": public_key.hex(),
        }
        return self._granted("/v1/terminals", document, public_key)

    def open_epoch(
        self, terminal: str, algorithm: int, public_key: bytes, *, trusted: bool
    ) -> Registration:
        """Have the next epoch granted to a terminal's new key; within a day it can be repeated.

        ``trusted``: what the old key still hands in is taken as before.
        """
        document = {"algorithm": algorithm, "public_key": public_key.hex(), "trusted": trusted}
        return self._granted(f"/v1/terminals/{terminal}/epochs", document, public_key)

    def add_member(self, name: str) -> str:
        """Register a member; return the id by which everybody else knows it."""
        member: str = self.post("/v1/members", {"name": name})["member"]
        return member

    def check_member(self, member: str) -> None:
        """Raise if cards can surely not be registered for ``member``.

        A token that may not see members (provisioner) only learns that it is valid.
        """
        try:
            self.get(f"/v1/members/{quote(member, safe='')}")
        except CloudRefused as refused:
            if refused.status != httpx.codes.FORBIDDEN:
                raise

    def card_member(self, reference: bytes) -> str | None:
        """Return whose card this is, None when the cloud does not know it."""
        try:
            member: str = self.get(f"/v1/cards/{reference.hex()}")["member"]
        except CloudRefused as refused:
            if refused.status == httpx.codes.NOT_FOUND:
                return None
            raise
        return member

    def register_card(
        self,
        reference: bytes,
        member: str,
        family: str,
        card_type: str,
        number: bytes | None = None,
    ) -> None:
        """Register a card for a member; ``number`` where the cloud checks what it proves."""
        document = {
            "reference": reference.hex(),
            "member": member,
            "family": family,
            "card_type": card_type,
            "number": None if number is None else number.hex(),
        }
        self.post("/v1/cards", document)

    def _granted(self, path: str, document: Mapping[str, Any], public_key: bytes) -> Registration:
        """A key is granted once: asked again after a lost answer, the cloud repeats its answer."""
        once = {"Idempotency-Key": sha256(public_key).hexdigest()}
        answer = self._call("POST", path, document, once)
        return Registration(
            base64.b64decode(answer["grant"], validate=True),
            tuple(answer["cloud_keys"]),
            tuple(answer["rules_keys"]),
        )

    def _call(
        self,
        method: str,
        path: str,
        document: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        try:
            answer = self._client.request(method, path, json=document, headers=headers)
        except httpx.TransportError as error:
            raise CloudUnreachable(f"{self._client.base_url}: {error}") from error
        if answer.is_success:
            return answer.json()
        try:
            refusal = answer.json()
        except ValueError:
            refusal = {}
        reason = str(refusal.get("code", "no_code"))
        words = (str(refusal.get(part, "")).rstrip(".") for part in ("what", "detail", "todo"))
        raise CloudRefused(answer.status_code, reason, "; ".join(filter(None, words)))
