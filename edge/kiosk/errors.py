"""How an error leaves the terminal's server: one table from code to status, one form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from edge.errors import BadBody, UnknownAddress, UnknownField
from protocol.errors import ProductError

STATUS: Mapping[str, int] = {
    "token_wrong": 401,
    "foreign_page": 403,
    "order_unknown": 404,
    "receipt_unasked": 404,
    "unknown_address": 404,
    "order_busy": 409,
    "order_reused": 409,
    "no_printer": 409,
    "no_receipt": 409,
    "too_large": 413,
    "bad_amount": 422,
    "bad_body": 422,
    "bad_order": 422,
    "unknown_field": 422,
    "unknown_product": 422,
    "cannot_accept": 503,
    "journal_refused": 503,
    "receipts_refused": 503,
    "too_many_pages": 503,
}


def refusal(error: ProductError) -> JSONResponse:
    """Return the answer to a request that ended in ``error``."""
    document = {
        "code": error.code,
        "what": error.what,
        "kept": error.kept,
        "todo": error.todo,
        "detail": error.detail,
    }
    status = STATUS.get(error.code, 500)
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return JSONResponse(document, status, headers)


def answer_errors(app: FastAPI) -> None:
    """Make ``app`` answer every error in the one form."""

    @app.exception_handler(ProductError)
    async def product_error(_: Request, error: ProductError) -> Response:
        return refusal(error)

    @app.exception_handler(RequestValidationError)
    async def validation_error(_: Request, error: RequestValidationError) -> Response:
        return refusal(_of_validation(error.errors()))

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        if error.status_code in (404, 405):
            return refusal(UnknownAddress(f"{request.method} {request.url.path}"[:120]))
        return refusal(BadBody(error.detail))


def _of_validation(problems: Sequence[Mapping[str, Any]]) -> BadBody:
    """Name the first place; a field that nobody would read goes before other problems."""
    unknown = [problem for problem in problems if problem["type"] == "extra_forbidden"]
    first = (unknown or problems)[0]
    place = ".".join(str(step) for step in first["loc"])
    return UnknownField(place) if unknown else BadBody(f"{place}: {first['msg']}"[:200])
