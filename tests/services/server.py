"""An ASGI app behind a real uvicorn on a port of its own; it can be stopped and started again."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from threading import Thread
from types import TracebackType
from typing import Any, Self

import uvicorn

# Turns of asyncio's loop from a connection being accepted to its protocol knowing it.
_ACCEPT_TURNS = 4


class _Closing(uvicorn.Server):
    """Leaves no connection open that came while it was stopping.

    uvicorn forgets one that is made during its shutdown, and asyncio's server loses one that it
    accepted just before ``close``; a browser that comes back is often that late.
    """

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listener in sockets or []:
            asyncio.get_running_loop().remove_reader(listener)
        for _ in range(_ACCEPT_TURNS):
            await asyncio.sleep(0)
        await super().shutdown(sockets)
        while self.server_state.connections:
            for connection in self.server_state.connections:
                connection.transport.abort()
            await asyncio.sleep(0)


class Server:
    """Serves ``app`` on 127.0.0.1 while entered; ``stop`` and ``start`` keep the port.

    ``opens`` and ``closes`` are called before it starts and before it stops.
    """

    def __init__(
        self,
        app: Any,
        opens: Callable[[], None] = lambda: None,
        closes: Callable[[], None] = lambda: None,
    ) -> None:
        self._app, self._opens, self._closes = app, opens, closes
        self.port = 0

    @property
    def url(self) -> str:
        """Where it serves, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Return when the port takes connections; uvicorn serves them once it is up."""
        self._opens()
        listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        self.port = listener.getsockname()[1]
        config = uvicorn.Config(
            self._app, log_config=None, lifespan="off", ws="none", timeout_graceful_shutdown=1
        )
        self._server = _Closing(config)
        self._thread = Thread(target=self._server.run, args=([listener],))
        self._thread.start()

    def stop(self) -> None:
        """Return when nothing listens any more."""
        self._closes()
        self._server.should_exit = True
        self._thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
