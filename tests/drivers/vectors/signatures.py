"""Signatures over messages: Ed25519 itself, and COSE_Sign1 of others."""

from __future__ import annotations

import pytest

from protocol import cose
from protocol.errors import BadSignature, Malformed
from protocol.signing import Ed25519Signer, Ed25519Verifier, split
from tests.drivers.vectors import Case, Check, raw


def check_ed25519(case: Case, _: Case) -> None:
    key = Ed25519Verifier(raw(case, "public_key"))
    message, signature = raw(case, "msg"), raw(case, "signature")
    if case["valid"]:
        key.verify(signature, message)
    else:
        with pytest.raises(BadSignature):
            key.verify(signature, message)
    if "secret_key" in case:
        signer = Ed25519Signer(raw(case, "secret_key"))
        assert signer.verifier.public == key.public
        assert signer.sign(message) == signature


def check_cose_sign1(case: Case, _: Case) -> None:
    fields = case["key"]
    key = cose.public_key(
        fields["crv"], raw(fields, "x"), raw(fields, "y") if "y" in fields else b""
    )
    message, external = raw(case, "cose_sign1"), raw(case, "external_aad")
    if case["expect"] == "accept":
        signed = cose.read(message)
        cose.verify(signed, key, external)
        assert signed.payload == raw(case, "payload")
        assert signed.to_be_signed(external) == raw(case, "to_be_signed")
    else:
        with pytest.raises((Malformed, BadSignature)):
            cose.verify(cose.read(message), key, external)
    # Whoever signed it, it is no message of ours.
    with pytest.raises(Malformed):
        split(message)


CHECKS: dict[str, Check] = {"cose_sign1": check_cose_sign1, "ed25519": check_ed25519}
