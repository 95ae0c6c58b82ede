"""Errors of the HTTP edge, and the one table from every error's code to its HTTP status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from protocol.errors import ProductError


class HttpError(ProductError):
    """A request that the edge refuses before the product sees it. Never raised itself."""

    code = "http"
    kept = "Nothing was changed."


class NotAuthenticated(HttpError):
    """No token, or one that is unknown or revoked: the answer does not tell which."""

    code = "not_authenticated"
    what = "The request carries no valid token"
    todo = "Send a token as 'Authorization: Bearer ...', or ask an administrator for one."


class NotAllowed(HttpError):
    """A valid token whose role does not cover the request."""

    code = "not_allowed"
    what = "The role of this token does not allow the request"
    todo = "Use a token of a role that the documentation of the request names."


class CrossSite(HttpError):
    """A form that another site sent with this browser's session."""

    code = "cross_site"
    what = "The request came from another site"
    todo = "Open the console itself and repeat the action there."


class TooManyAttempts(HttpError):
    """More failed logins than a person makes."""

    code = "too_many_attempts"
    what = "Too many failed logins from this address"
    todo = "Wait a minute, then try again with the right token."


class NoSuchPage(HttpError):
    """A path or method that does not exist."""

    code = "not_found"
    what = "There is nothing at this address"
    todo = "Check the address; /v1/openapi.json lists all of them."


class WrongMethod(HttpError):
    """A path that exists, with a method that it does not have."""

    code = "wrong_method"
    what = "This address does not take this method"
    todo = "/v1/openapi.json lists the methods of each address."


class BadJson(HttpError):
    """A body that is not JSON."""

    code = "bad_json"
    what = "The body is not JSON"
    todo = "Send JSON as 'Content-Type: application/json'."


class UnknownField(HttpError):
    """A field that no version of the request has: likely misspelt, never ignored."""

    code = "unknown_field"
    what = "The request holds a field that is not part of it"
    todo = "Correct or remove the named field."


class BadField(HttpError):
    """A field that is missing, or of the wrong type or range."""

    code = "bad_field"
    what = "A field of the request is missing or wrong"
    todo = "Correct the named field."


class BodyTooLarge(HttpError):
    """A body above the edge's limit."""

    code = "body_too_large"
    what = "The body of the request is too large"
    todo = "Send it in smaller pieces."


class KeyReused(HttpError):
    """An Idempotency-Key that another request has used."""

    code = "idempotency_key_reused"
    what = "This Idempotency-Key belongs to another request"
    kept = "The first request stands; this one was not carried out."
    todo = "Draw a new key for each new request."


class NotReady(HttpError):
    """A part that the cloud needs is not there."""

    code = "not_ready"
    what = "The cloud is not ready"
    kept = "Terminals keep their records until it is."
    todo = "See the named part in the log."


class Internal(HttpError):
    """A fault of the program; the log holds the trace."""

    code = "internal"
    what = "The program failed"
    kept = "The transaction was rolled back."
    todo = "Report this code with the time of the request."


# What any request with a body may be answered.
BODY_ERRORS = (BadJson, BodyTooLarge, BadField, UnknownField, KeyReused)
# One table: code -> status. A code that is not here is a fault of the program (500), and a test
# holds every error of the cloud and of the agreement against it.
STATUS: Mapping[str, HTTPStatus] = {
    "bad_json": HTTPStatus.BAD_REQUEST,
    "not_authenticated": HTTPStatus.UNAUTHORIZED,
    "not_allowed": HTTPStatus.FORBIDDEN,
    "cross_site": HTTPStatus.FORBIDDEN,
    "not_found": HTTPStatus.NOT_FOUND,
    "wrong_method": HTTPStatus.METHOD_NOT_ALLOWED,
    "unknown_terminal": HTTPStatus.NOT_FOUND,
    "unknown_member": HTTPStatus.NOT_FOUND,
    "unknown_card": HTTPStatus.NOT_FOUND,
    "unknown_bundle": HTTPStatus.NOT_FOUND,
    "unknown_record": HTTPStatus.NOT_FOUND,
    "unknown_token": HTTPStatus.NOT_FOUND,
    "terminal_exists": HTTPStatus.CONFLICT,
    "terminal_revoked": HTTPStatus.CONFLICT,
    "member_exists": HTTPStatus.CONFLICT,
    "card_exists": HTTPStatus.CONFLICT,
    "card_cancelled": HTTPStatus.CONFLICT,
    "tag_copied": HTTPStatus.CONFLICT,
    "bundle_exists": HTTPStatus.CONFLICT,
    "not_kept_apart": HTTPStatus.CONFLICT,
    "not_acceptable": HTTPStatus.CONFLICT,
    "idempotency_key_reused": HTTPStatus.CONFLICT,
    "body_too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "unknown_field": HTTPStatus.UNPROCESSABLE_ENTITY,
    "bad_field": HTTPStatus.UNPROCESSABLE_ENTITY,
    "malformed": HTTPStatus.UNPROCESSABLE_ENTITY,
    "wrong_version": HTTPStatus.UNPROCESSABLE_ENTITY,
    "bad_signature": HTTPStatus.UNPROCESSABLE_ENTITY,
    "sun_refused": HTTPStatus.UNPROCESSABLE_ENTITY,
    "code_expired": HTTPStatus.UNPROCESSABLE_ENTITY,
    "code_foreign": HTTPStatus.UNPROCESSABLE_ENTITY,
    "code_stale": HTTPStatus.UNPROCESSABLE_ENTITY,
    "code_used": HTTPStatus.CONFLICT,
    "unknown_key": HTTPStatus.UNPROCESSABLE_ENTITY,
    "bad_topic": HTTPStatus.UNPROCESSABLE_ENTITY,
    "bad_bundle": HTTPStatus.UNPROCESSABLE_ENTITY,
    "unknown_product": HTTPStatus.UNPROCESSABLE_ENTITY,
    "bad_amount": HTTPStatus.UNPROCESSABLE_ENTITY,
    "broken_chain": HTTPStatus.CONFLICT,
    "too_many_attempts": HTTPStatus.TOO_MANY_REQUESTS,
    "internal": HTTPStatus.INTERNAL_SERVER_ERROR,
    "not_ready": HTTPStatus.SERVICE_UNAVAILABLE,
    "storage_down": HTTPStatus.SERVICE_UNAVAILABLE,
}


class ErrorDocument(BaseModel):
    """What every error says: what happened, what was kept safe, and what to do."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "code": UnknownField.code,
                    "what": UnknownField.what,
                    "kept": UnknownField.kept,
                    "todo": UnknownField.todo,
                    "detail": "body.nmae",
                }
            ]
        },
    )

    code: str = Field(description="Stable code: programs compare this and nothing else.")
    what: str = Field(description="What happened, for people.")
    kept: str = Field(description="What was kept safe.")
    todo: str = Field(description="What to do about it.")
    detail: str = Field(description="The facts of this single case; may be empty.")


def document(error: ProductError) -> dict[str, str]:
    """The JSON form of an error."""
    return {
        "code": error.code,
        "what": error.what,
        "kept": error.kept,
        "todo": error.todo,
        "detail": error.detail,
    }


def status_of(error: ProductError) -> HTTPStatus:
    """The HTTP status of an error."""
    return STATUS.get(error.code, HTTPStatus.INTERNAL_SERVER_ERROR)


def responses(*kinds: type[ProductError]) -> dict[int | str, dict[str, Any]]:
    """OpenAPI descriptions of the errors that a route may answer with."""
    found: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        status = int(STATUS[kind.code])
        line = f"`{kind.code}`: {kind.what}."
        said = found.setdefault(status, {"model": ErrorDocument, "description": ""})
        said["description"] = f"{said['description']} {line}".strip()
    return found


def fault_of(faults: Sequence[Any]) -> HttpError:
    """The fault, of those that pydantic found, that a caller should mend first.

    It names the place; the value itself is not repeated.
    """
    for fault in sorted(faults, key=lambda each: each["type"] != "extra_forbidden"):
        place = ".".join(str(step) for step in fault["loc"])
        if fault["type"] == "json_invalid":
            return BadJson(place)
        if fault["type"] == "extra_forbidden":
            return UnknownField(place)
        return BadField(f"{place}: {fault['msg']}"[:300])
    return BadField()
