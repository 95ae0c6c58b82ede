"""Writes that may be sent twice: the answer is kept in the transaction that made it true."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Annotated

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel
from sqlalchemy import Connection

from cloud.http.errors import KeyReused
from cloud.http.identity import Caller, current
from cloud.http.store import Answered, answered, keep_answer
from cloud.storage.engine import Database

# A caller that was cut off asks again within a day.
KEEP_MS = 24 * 3_600_000
REPLAYED = "Idempotency-Replayed"

Act = Callable[[Connection], BaseModel]


class Attempt:
    """One request that writes: who sent it, its key if it has one, and the hash of its content."""

    def __init__(self, caller: Caller, key: str | None, request: bytes) -> None:
        self.caller = caller
        self._key = key
        self._request = request

    def write(
        self, database: Database, now_ms: int, status: int, act: Act
    ) -> tuple[Response, bool]:
        """Run ``act`` in one transaction and answer with what it returns, under ``status``.

        A repeat gets the first answer and runs nothing (the flag is False); KeyReused when the
        key came with another request.
        """
        with database.write() as connection:
            if self._key is not None:
                known = answered(connection, self.caller.token_id, self._key)
                if known is not None:
                    return self._replay(known), False
            body = act(connection).model_dump_json().encode()
            if self._key is not None:
                answer = Answered(self._request, status, body)
                keep_answer(connection, self.caller.token_id, self._key, answer, now_ms, KEEP_MS)
        return Response(body, status, media_type="application/json"), True

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
