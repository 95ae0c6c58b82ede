"""Vsmartcard's own card as a process: an ISO 7816-4 card that nobody here wrote. Never imported."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

PROGRAM = Path("/usr/bin/vicc")
INTERPRETER = Path("/usr/bin/python3")  # the one that Debian's modules are for
# Debian ships the module in a folder that no Python looks into, one level too deep; and what the
# module calls Crypto is there under the name Cryptodome.
MODULES = Path("/usr/lib/python3/site-packages/virtualsmartcard")
CRYPTO = Path("/usr/lib/python3/dist-packages/Cryptodome")
PIN = b"1234"  # with which it is delivered


@contextlib.contextmanager
def running_vicc(port: int) -> Iterator[None]:
    """The card in the slot behind this port of 127.0.0.1, for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="vicc-") as folder:
        (Path(folder) / "Crypto").symlink_to(CRYPTO)
        path = os.pathsep.join((folder, str(MODULES)))
        process = subprocess.Popen(
            [
                INTERPRETER,
                PROGRAM,
                "--type",
                "iso7816",
                "--hostname",
                "127.0.0.1",
                "--port",
                str(port),
            ],
            env=os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
