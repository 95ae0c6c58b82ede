#!/usr/bin/env python3
"""The project's commands: sets up what one needs, then becomes it. Standard library only.

It asks for nothing but python3 and pip, so that a bare Debian 12 is enough. What the commands do
is written in the packages; how their parts are installed is written here.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
UNFINISHED = VENV / "unfinished"  # is there exactly while pip writes: whoever finds it starts anew

BUILD, RUNTIME, DEV, PCSC = (
    ROOT / f"requirements{part}.lock" for part in ("-build", "", "-dev", "-pcsc")
)

USAGE = """\
usage: python3 run.py COMMAND [OPTIONS]

  demo    a day in a small chain, and whether every tap became one ledger entry
  up      the demo's system, served until Ctrl-C
  test    all tests (installs Debian packages if it may)
  check   format, lint, types, import contracts, tidiness
  bench   measures, and writes its tables into docs
  fuzz    gives each parser and card dialogue wrong bytes, a minute each (nightly)

OPTIONS go to the command: python3 run.py demo --help, python3 run.py test -k journal\
"""

# Marker of the tests that need it -> Debian package -> a path that says it is there.
SYSTEM_PACKAGES = {
    "broker_mosquitto": {"mosquitto": "/usr/sbin/mosquitto"},
    "postgres": {"postgresql": "/usr/lib/postgresql/*/bin/initdb"},
    "pcscd": {
        "pcscd": "/usr/sbin/pcscd",
        "opensc": "/usr/bin/opensc-tool",
        "pcsc-tools": "/usr/bin/pcsc_scan",
        "vsmartcard-vpcd": "/usr/lib/pcsc/drivers/serial/libifdvpcd.so",
        # What compiles pyscard, which is published as source only.
        "gcc": "/usr/bin/gcc",
        "libc6-dev": "/usr/include/stdlib.h",
        "libpcsclite-dev": "/usr/include/PCSC/winscard.h",
        "python3-dev": sysconfig.get_path("include") + "/Python.h",
        "swig": "/usr/bin/swig",
    },
    "libnfc": {"libnfc-bin": "/usr/bin/nfc-list"},
    "vicc": {
        "vsmartcard-vpicc": "/usr/bin/vicc",
        "python3-pycryptodome": "/usr/lib/python3/dist-packages/Cryptodome/__init__.py",
    },
    "browser": {
        "chromium": "/usr/bin/chromium",
        "fonts-wqy-microhei": "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",
    },
    "strace": {"strace": "/usr/bin/strace"},
    "systemd": {"systemd": "/usr/bin/systemd-analyze"},
}

# Half of a test's time is waiting: for processes, disks and lines. Three keep two cores busy.
WORKERS = 3
# A worker takes whole files, because a file's tests share what is long in the making, in the order
# of tests/conftest.py.
BY_FILE = ("--dist=loadfile", "--no-loadscope-reorder")

# Packages are installed for their programs: no service of theirs may start, now or at the next
# boot. Debian asks policy-rc.d before it starts one; a policy that is already there is respected.
INSTALL_SYSTEM_PACKAGES = """
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ] || grep -qs tapledger $policy; then
    trap 'rm -f $policy' EXIT
    trap 'exit 130' INT TERM HUP
    printf '#!/bin/sh\\n# tapledger: while run.py installs\\nexit 101\\n' >$policy
    chmod 755 $policy
fi
apt-get -qq -o DPkg::Lock::Timeout=300 update &&
apt-get -qq -o DPkg::Lock::Timeout=300 install --yes --no-install-recommends "$@" || exit
if command -v systemctl >/dev/null; then
    for package in "$@"; do
        case $package in
            mosquitto | postgresql) systemctl --quiet disable $package.service ;;
            pcscd) systemctl --quiet disable pcscd.socket ;;
        esac
    done
fi
"""


class SetupError(Exception):
    """Setting up did not work; says what to do. Nothing of the checkout has changed."""


def run_quietly(what: str, command: list[str]) -> None:
    """Run a command and show how long it takes; what it prints is shown only if it fails."""
    start = time.monotonic()
    on_terminal = sys.stdout.isatty()
    rewind = "\r" if on_terminal else ""
    print(f"{what} ...", end="" if on_terminal else "\n", flush=True)
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        while process.poll() is None:
            try:
                process.wait(timeout=1)
            except subprocess.TimeoutExpired:
                if on_terminal:
                    print(f"\r{what} ... {time.monotonic() - start:.0f} s", end="", flush=True)
            except KeyboardInterrupt:
                process.wait()  # interrupted with us; it must not write after we are gone
                raise
        if process.returncode == 0:
            print(f"{rewind}{what} ... done in {time.monotonic() - start:.1f} s", flush=True)
            return
        output.seek(0)
        print(f"{rewind}{what} ... failed\n{output.read().strip()}", flush=True)
    raise SetupError(f"{what}: ended with status {process.returncode}, as shown above.")


def fingerprint(lock: Path) -> str:
    """What an installation of this lock depends on."""
    parts = BUILD.read_bytes(), lock.read_bytes(), sys.version.encode(), bytes(ROOT)
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def stamp(lock: Path) -> Path:
    """The file that says which content of this lock is installed."""
    return VENV / f"{lock.stem}.installed"


def is_installed(lock: Path) -> bool:
    """Whether what the lock says now is what was installed, and to the end."""
    there = stamp(lock).is_file() and PYTHON.exists() and not UNFINISHED.exists()
    return there and stamp(lock).read_text() == fingerprint(lock)


def create_venv() -> None:
    """Make or complete the virtual environment, without the venv module's own pip."""
    ours = VENV / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    usable = PYTHON.exists() and ours.is_dir() and not UNFINISHED.exists()
    venv.create(VENV, clear=not usable, with_pip=False, symlinks=True)


def pip_install(what: str, lock: Path) -> None:
    """Install a lock's packages; those that come as source are built with locked tools alone."""
    install = [sys.executable, "-m", "pip", "--python", str(PYTHON), "install", "--quiet"]
    unattended = ["--no-input", "--disable-pip-version-check", "--root-user-action=ignore"]
    locked = ["--require-hashes", "--use-pep517", "--no-build-isolation", "--requirement"]
    run_quietly(what, [*install, *unattended, *locked, str(lock)])


def ensure_python_packages(lock: Path, what: str) -> None:
    """Bring the virtual environment to what a lock says; the development lock holds the other."""
    with Path(__file__).open() as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)  # a second run.py of this checkout waits here
        if is_installed(lock):
            return
        if importlib.util.find_spec("pip") is None:
            raise SetupError("pip is missing. Type: apt-get install python3-pip")
        create_venv()
        UNFINISHED.touch()
        try:
            pip_install("Python build tools", BUILD)
            pip_install(what, lock)
        except SetupError as error:
            UNFINISHED.unlink()  # pip ended by itself and took back what it had begun
            hint = "If no package index answered, see `python3 -m pip config list` and the proxy."
            raise SetupError(f"{error} {hint} Then run this again.") from None
        for done in {lock, RUNTIME} if lock == DEV else {lock}:
            stamp(done).write_text(fingerprint(done))
        UNFINISHED.unlink()


def missing_system_packages() -> dict[str, list[str]]:
    """Marker of tests -> the Debian packages that they lack here."""
    missing: dict[str, list[str]] = {}
    for marker, packages in SYSTEM_PACKAGES.items():
        lacking = [name for name, path in packages.items() if not any(Path("/").glob(path[1:]))]
        if lacking:
            missing[marker] = lacking
    return missing


def as_root() -> list[str] | None:
    """What has to stand before a command of root's; None if this user may not."""
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    may = sudo and subprocess.run([sudo, "-n", "true"], capture_output=True, check=False)
    return [sudo, "-n"] if sudo and may and may.returncode == 0 else None


def ensure_system_packages() -> None:
    """Install what the tests lack, or say what to type and which tests are left out."""
    missing = missing_system_packages()
    packages = list(dict.fromkeys(name for names in missing.values() for name in names))
    root = as_root() if shutil.which("apt-get") else None
    if packages and root is not None:
        script = [*root, "sh", "-c", INSTALL_SYSTEM_PACKAGES, "sh", *packages]
        run_quietly(f"Debian packages for the tests ({' '.join(packages)})", script)
    elif packages:
        print("Some tests are left out, because these Debian packages are missing. To have them:")
        print(f"  apt-get install --no-install-recommends {' '.join(packages)}")
        for marker, names in missing.items():
            print(f"  left out: {marker} ({', '.join(names)})")
    if "pcscd" not in missing_system_packages():
        ensure_python_packages(PCSC, "Python package for PC/SC readers")


def become(*arguments: str) -> NoReturn:
    """Replace this process by the project's Python, so that signals and exit status are its own."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    sys.stdout.flush()
    # -P: the packages are the checkout's, also where the caller's folder has others of that name.
    os.execve(PYTHON, [str(PYTHON), "-P", *arguments], {**os.environ, "PYTHONPATH": path})


def check() -> int:
    """Everything that is decided without running the product; stops at the first that fails."""
    for name, *arguments in (
        ("format", "ruff", "format", "--check", "--quiet", "."),
        ("lint", "ruff", "check", "--quiet", "."),
        ("types", "mypy", "--no-error-summary"),
        ("architecture", "pytest", "--quiet", "tests/architecture"),
    ):
        start = time.monotonic()
        status = subprocess.run([PYTHON, "-m", *arguments], cwd=ROOT, check=False).returncode
        if status != 0:
            print(f"check: {name} failed (python -m {' '.join(arguments)})")
            return status
        print(f"check: {name} holds ({time.monotonic() - start:.1f} s)", flush=True)
    return 0


def main(command: str, *options: str) -> int:
    """Set up and run one command; returns its exit status, unless it becomes the command."""
    if command in ("demo", "up"):
        ensure_python_packages(RUNTIME, "Python packages")
        become("-m", "provisioning", command, *options)
    if command not in ("test", "check", "bench", "fuzz") or (command == "check" and options):
        print(USAGE)
        return 0 if command in ("help", "-h", "--help") else 2
    ensure_python_packages(DEV, "Python packages for development")
    if command == "check":
        return check()
    if command == "fuzz":
        become("-m", "tests.fuzz", *options)
    ensure_system_packages()
    if command == "bench":
        become("-m", "tests.bench", *options)
    os.chdir(ROOT)
    # Some hundred programs are started; without bytecode each would compile all of itself anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    become("-m", "pytest", f"--numprocesses={WORKERS}", *BY_FILE, *options)


if __name__ == "__main__":
    if sys.version_info < (3, 11):
        sys.exit("tapledger needs Python 3.11 or newer; this is " + sys.version.split()[0])
    try:
        sys.exit(main(*(sys.argv[1:] or ["help"])))
    except SetupError as error:
        sys.exit(f"run.py: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
