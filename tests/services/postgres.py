"""A real PostgreSQL of its own: a fresh cluster in a folder, on a unix socket, fsync on."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

START_S = 30.0
# PostgreSQL refuses to run as root; this user of Debian's base system owns nothing.
UNPRIVILEGED = "nobody"


class Postgres:
    """A server in ``folder``; ``kill`` and ``start`` as often as a test likes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs = max(Path("/usr/lib/postgresql").glob("*/bin"))
        self._process: subprocess.Popen[bytes] | None = None
        self._made = 0

    def create(self) -> None:
        """Make the cluster; what it writes later is synced."""
        if os.geteuid() == 0:
            owner = pwd.getpwnam(UNPRIVILEGED)
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
        options = (
            "--auth=trust",
            "--username=ledger",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
        )
        command = self._as_owner("initdb", "-D", str(self.folder / "data"), *options)
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder)

    def start(self) -> None:
        """Return when it answers."""
        command = self._as_owner(
            *("postgres", "-D", str(self.folder / "data"), "-k", str(self.folder)),
            *("-c", "listen_addresses=", "-c", "fsync=on", "-c", "synchronous_commit=on"),
            *("-c", "shared_buffers=256MB", "-c", "max_wal_size=4GB"),
        )
        log = self.folder / "log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, cwd=self.folder
            )
        deadline = time.monotonic() + START_S
        while not self._answers():
            assert self._process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)

    def stop(self) -> None:
        """End it at once: nobody reads this cluster again, so its last checkpoint would be idle."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(START_S)
            self._process = None

    def kill(self) -> None:
        """SIGKILL to the server and its children at once, as when the host fails."""
        assert self._process is not None
        own = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        children = [int(pid) for pid in own.read_text().split()]
        self._process.kill()
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait(START_S)
        self._process = None
        deadline = time.monotonic() + START_S
        while any(Path(f"/proc/{pid}").exists() for pid in children):
            assert time.monotonic() < deadline, "killed processes stay"
            time.sleep(0.01)

    def new_database(self) -> str:
        """The URL of a fresh database, in the form of the cloud's configuration."""
        name = self._execute("CREATE DATABASE {}")
        return f"postgresql+psycopg://ledger@/{name}?host={self.folder}"

    def new_schema(self) -> str:
        """The URL of a fresh schema, which takes a tenth of a database's time.

        It is its user's own, so that nobody has to name it.
        """
        name = self._execute("CREATE ROLE {0} SUPERUSER LOGIN; CREATE SCHEMA AUTHORIZATION {0}")
        return f"postgresql+psycopg://{name}@/postgres?host={self.folder}"

    def _execute(self, statement: str) -> str:
        """Run a statement with a name that is new."""
        self._made += 1
        name = f"ledger_{self._made}"
        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(sql.Identifier(name)))
        return name

    def _address(self, name: str) -> str:
        return f"host={self.folder} user=ledger dbname={name} connect_timeout=2"

    def _answers(self) -> bool:
        try:
            psycopg.connect(self._address("postgres")).close()
        except psycopg.OperationalError:
            return False
        return True

    def _as_owner(self, program: str, *arguments: str) -> list[str]:
        command = [str(self.programs / program), *arguments]
        if os.geteuid() != 0:
            return command
        owner = pwd.getpwnam(UNPRIVILEGED)
        ids = f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"
        # It must not outlive a test run that is killed.
        return ["setpriv", *ids, "--pdeathsig=QUIT", *command]


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A server that is ready, and gone afterwards with its folder."""
    # A socket's path has at most 107 bytes, and the unprivileged user must reach it.
    folder = Path(tempfile.mkdtemp(prefix="tapledger-pg-"))
    server = Postgres(folder)
    try:
        server.create()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server
