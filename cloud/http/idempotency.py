"""Writes that may be sent twice: the answer is kept in the transaction that made it true."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel
from sqlalchemy import Connection

from cloud.http.backend import Backend
from cloud.http.errors import KeyReused
from cloud.http.guard import current
from cloud.http.identity import Caller
from cloud.http.store import Answered, answered, keep_answer

# A caller that was cut off asks again within a day.
KEEP_MS = 24 * 3_600_000
REPLAYED = "Idempotency-Replayed"

Act = Callable[[Connection], BaseModel]
After = Callable[[], object]


class Attempt:
    """One request that writes: who sent it, its key if it has one, and the hash of its content."""

    def __init__(self, caller: Caller, key: str | None, request: bytes) -> None:
        self.caller = caller
        self._key = key
        self._request = request

    def write(self, backend: Backend, act: Act, status: HTTPStatus, after: After) -> Response:
        """Run ``act`` in one transaction, answer with what it returns, and then call ``after``.

        A repeat gets the first answer and runs nothing; KeyReused when the key came with another
        request.
        """
        now_ms = backend.clock_ms()
        with backend.database.write() as connection:
            if self._key is not None:
                known = answered(connection, self.caller.token_id, self._key)
                if known is not None:
                    return self._replay(known)
            body = act(connection).model_dump_json().encode()
            if self._key is not None:
                answer = Answered(self._request, status, body)
                keep_answer(connection, self.caller.token_id, self._key, answer, now_ms, KEEP_MS)
        after()
        return Response(body, status, media_type="application/json")

    def _replay(self, known: Answered) -> Response:
        if known.request != self._request:
            raise KeyReused
        return Response(
            known.body, known.status, headers={REPLAYED: "true"}, media_type="application/json"
        )


async def _attempt(
    request: Request,
    caller: Annotated[Caller, Depends(current)],
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=64,
            description="Any text that is new for each new request; kept for a day.",
        ),
    ] = None,
) -> Attempt:
    content = b"\0".join((request.method.encode(), request.url.path.encode(), await request.body()))
    return Attempt(caller, idempotency_key, sha256(content).digest())


Once = Annotated[Attempt, Depends(_attempt)]
