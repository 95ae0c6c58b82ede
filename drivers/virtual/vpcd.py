"""A software card in a slot of vsmartcard's virtual PC/SC reader; the reader's side is pcscd's."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

from drivers.virtual.faults import CardLeft, Faults, VirtualCard

RECONNECT_S = 0.1
"""Pause before a card that is still in the slot is announced again, while pcscd is away."""

EMPTY_S = 0.6
"""How long a slot stays empty before the next card goes in.

pcscd looks every 400 ms; a quicker swap it takes for the card that was there, and never powers the
new one up.  No hand is quicker either.
"""

_SEND_ATR = b"\x04"


class VpcdCarrier:
    """A card slot behind vpcd's TCP port; being connected is being inserted.

    A card that is in stays in: after a restart of pcscd it connects again.  pcscd looks every
    400 ms, so the reader side notices insertion and removal that much later.
    """

    def __init__(self, host: str, port: int) -> None:
        self.faults = Faults()
        self._address = host, port
        self._inserted: _Insertion | None = None
        self._emptied = -EMPTY_S

    def insert(self, card: VirtualCard) -> None:
        """Put a card into the slot; one that is there leaves first, for EMPTY_S."""
        self.remove()
        wait_s = max(0.0, self._emptied + EMPTY_S - time.monotonic())
        self._inserted = _Insertion(self._address, card, self.faults, wait_s)

    def remove(self) -> None:
        """Pull the card, also in the middle of an exchange."""
        if self._inserted:
            self._emptied = self._inserted.end()
        self._inserted = None

    def close(self) -> None:
        """Leave the slot empty."""
        self.remove()


class _Insertion:
    """One card's stay in the slot, from connect to close, on its own thread."""

    def __init__(
        self, address: tuple[str, int], card: VirtualCard, faults: Faults, wait_s: float
    ) -> None:
        self._address, self._card, self._faults = address, card, faults
        self._wait_s = wait_s
        self._emptied = 0.0
        self._over = threading.Event()
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._stay, name=f"vpcd {address}", daemon=True)
        self._thread.start()

    def end(self) -> float:
        """Pull the card; the moment since when the slot is empty, on the monotonic clock."""
        self._over.set()
        connection = self._socket
        if connection:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        return self._emptied

    def _stay(self) -> None:
        self._over.wait(self._wait_s)
        while not self._over.is_set():
            with (
                contextlib.suppress(OSError, EOFError),
                socket.create_connection(self._address) as self._socket,
            ):
                self._serve(self._socket)
            self._emptied = time.monotonic()
            self._over.wait(RECONNECT_S)

    def _serve(self, connection: socket.socket) -> None:
        while not self._over.is_set():
            payload = _receive(connection, int.from_bytes(_receive(connection, 2), "big"))
            if payload == _SEND_ATR:
                answer: bytes | None = self._card.atr
            elif len(payload) == 1:
                self._card.reset()  # power off, power on or reset: none is answered
                continue
            else:
                answer = self._run(payload)
            if answer is not None and not self._over.is_set():
                connection.sendall(len(answer).to_bytes(2, "big") + answer)

    def _run(self, apdu: bytes) -> bytes | None:
        try:
            return self._faults.exchange(self._card, apdu)
        except CardLeft:
            self._over.set()
            raise EOFError from None


def _receive(connection: socket.socket, count: int) -> bytes:
    """Read exactly so many bytes.

    vpcd sends length and body in two segments under Nagle's algorithm: without an acknowledgement
    at once every command costs 44 ms.  The kernel forgets the option, so it is set each time.
    """
    data = b""
    while len(data) < count:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        part = connection.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return data
