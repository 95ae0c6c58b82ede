"""Files that only their owner may read: written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

OWNER_ONLY = 0o600
FOLDER_OWNER_ONLY = 0o700


def private_folder(path: Path) -> Path:
    """Make ``path`` (and its parents) as a folder that only its owner may enter; return it."""
    path.mkdir(mode=FOLDER_OWNER_ONLY, parents=True, exist_ok=True)
    return path


def write_private(path: Path, data: bytes | str) -> Path:
    """Write ``path`` with mode 0600 so that a crash leaves the old content or the new one."""
    content = data.encode() if isinstance(data, str) else data
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return path
