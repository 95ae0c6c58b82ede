"""Verifies and counts the reads of tags: whoever comes while others are served joins the next.

A commit waits for the disk; so the disk is waited for once by all who are there, and not by each.
"""

from __future__ import annotations

from asyncio import Future, Task, get_running_loop
from collections.abc import Callable, Sequence

from fastapi.concurrency import run_in_threadpool

from cloud.cards.model import TagMessages, TagRead
from cloud.cards.store import raise_counters
from cloud.errors import TagCopied
from cloud.storage.engine import Database

# Nobody waits behind more: some 20 ms.
TOGETHER_MAX = 256

_Waiting = tuple[bytes, Future[TagRead]]


class TagCounters:
    """The counters of all tags. ``clock_ms`` gives UTC in ms since 1970; for one event loop."""

    def __init__(
        self, database: Database, messages: TagMessages, clock_ms: Callable[[], int]
    ) -> None:
        self._database = database
        self._messages = messages
        self._clock_ms = clock_ms
        self._waiting: list[_Waiting] = []
        self._serving: Task[None] | None = None

    async def admit(self, link: bytes) -> TagRead:
        """Return what ``link`` says, once it is verified, counted and on the disk.

        SunRefused; TagCopied unless it is newer than all before of its tag; StorageDown.
        """
        mine: Future[TagRead] = get_running_loop().create_future()
        self._waiting.append((link, mine))
        if self._serving is None:
            self._serving = get_running_loop().create_task(self._serve())
        return await mine

    async def _serve(self) -> None:
        """Judge all who wait, and those who came meanwhile, until nobody is left."""
        together: list[_Waiting] = []
        try:
            while self._waiting:
                together = self._waiting[:TOGETHER_MAX]
                del self._waiting[:TOGETHER_MAX]
                await self._answer(together)
        finally:  # whatever ended it: nobody waits for ever, and the next who comes is served
            self._serving = None
            for _, future in [*together, *self._waiting]:
                future.cancel()
            self._waiting.clear()

    async def _answer(self, together: Sequence[_Waiting]) -> None:
        """Tell each what was judged of it, or all what kept them from being judged."""
        judged: Sequence[TagRead | Exception]
        try:
            judged = await run_in_threadpool(self.judge, [link for link, _ in together])
        except Exception as error:  # noqa: BLE001  (each of those who wait must hear it)
            judged = [error] * len(together)
        for (_, future), outcome in zip(together, judged, strict=True):
            if future.cancelled():  # its caller went away
                continue
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

    def judge(self, links: Sequence[bytes]) -> list[TagRead | Exception]:
        """Judge links in their order, each as ``admit`` does; for any thread."""
        outcomes = [self._verified(link) for link in links]
        reads = [outcome for outcome in outcomes if isinstance(outcome, TagRead)]
        try:
            risen = iter(self._count(reads))
        except Exception as error:  # noqa: BLE001  (each of those who wait must hear it)
            return [error if isinstance(each, TagRead) else each for each in outcomes]
        return [
            TagCopied() if isinstance(each, TagRead) and not next(risen) else each
            for each in outcomes
        ]

    def _verified(self, link: bytes) -> TagRead | Exception:
        try:
            return self._messages.read(link)
        except Exception as error:  # noqa: BLE001  (its own caller hears it, and the others go on)
            return error

    def _count(self, reads: Sequence[TagRead]) -> Sequence[bool]:
        """Whether each counter rose; what no tag of ours wrote does not reach the database."""
        if not reads:
            return ()
        with self._database.write() as connection:
            return raise_counters(connection, reads, self._clock_ms())
