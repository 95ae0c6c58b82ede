"""A member's phone in software, and a page on the loopback that shows its code, for tests and demo.

A real phone keeps its key in its secure hardware and draws the same text; issuing is the cloud's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import segno

from protocol.qr_credential import NONCE_BYTES, SLOT_S, show
from protocol.signing import SigningKey

# Dots a module: 65 modules and the quiet zone fill the width of a phone.
SCALE = 5

_PAGE = """<!doctype html>
<html lang="zh-CN"><meta charset="utf-8"><meta http-equiv="refresh" content="{left}">
<meta name="viewport" content="width=device-width"><title>会员码 · Member code</title>
<body style="text-align:center;font-family:sans-serif;background:#fff;color:#111">
<h1>{name}</h1>{code}<p>{left} 秒后更换 · new in {left} s</p></body></html>
"""


class VirtualPhone:
    """One phone with one card. ``now_s`` is its clock; ``draw`` gives so many random bytes."""

    def __init__(
        self,
        issued: bytes,
        key: SigningKey,
        now_s: Callable[[], int],
        draw: Callable[[int], bytes],
    ) -> None:
        self._issued, self._key = issued, key
        self._now_s, self._draw = now_s, draw
        self._shown = -1, ""

    def code(self) -> str:
        """Return the text on the screen: the same all through one slot."""
        now_s = self._now_s()
        slot, text = self._shown
        if slot != now_s // SLOT_S:
            text = show(self._issued, self._key, now_s, self._draw(NONCE_BYTES))
            self._shown = now_s // SLOT_S, text
        return text

    def page(self, name: str) -> str:
        """Return the screen as a page that asks for itself again when the next slot begins."""
        symbol = segno.make_qr(self.code(), error="m", boost_error=False)
        drawn = symbol.svg_inline(scale=SCALE)
        return _PAGE.format(name=escape(name), code=drawn, left=SLOT_S - self._now_s() % SLOT_S)


class PhonePage:
    """Serves the screen at ``url`` and its text at ``url``code.txt, to this machine alone."""

    def __init__(self, phone: VirtualPhone, name: str, port: int = 0) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(phone, name))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Switch the phone off."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(phone: VirtualPhone, name: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/":
                self._answer("text/html; charset=utf-8", phone.page(name))
            elif self.path == "/code.txt":
                self._answer("text/plain; charset=ascii", phone.code())
            else:
                self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing: a code must not stand in a log."""

        def _answer(self, kind: str, text: str) -> None:
            body = text.encode()
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

    return Handler
