"""An ASGI app behind a real uvicorn on a port of its own; it can be stopped and started again."""

from __future__ import annotations

import socket
from collections.abc import Callable
from threading import Thread
from types import TracebackType
from typing import Any, Self

import uvicorn


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
            self._app, log_level="warning", lifespan="off", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
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
