"""Files that only their owner may read: written whole or not at all.

What root writes belongs to whom the folder belongs to, and the folder's group may read it if the
folder is open to that group and to nobody else: a program can read what a technician made for it.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

OWNER_ONLY = 0o600
FOLDER_OWNER_ONLY = 0o700


def private_folder(path: Path) -> Path:
    """Make ``path`` (and its parents) as a folder that only its owner may enter; return it."""
    if not path.is_dir():
        private_folder(path.parent)
        path.mkdir(mode=FOLDER_OWNER_ONLY, exist_ok=True)
        if os.geteuid() == 0:
            above = path.parent.stat()
            os.chown(path, above.st_uid, above.st_gid)
    return path


def write_private(path: Path, data: bytes | str) -> Path:
    """Write ``path``, private as above, so that a crash leaves the old content or the new one."""
    content = data.encode() if isinstance(data, str) else data
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        if os.geteuid() == 0:
            _give(descriptor, path.parent.stat())
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return path


def _give(descriptor: int, folder: os.stat_result) -> None:
    """Give a new file to the owner of its folder, and to the group that the folder is for."""
    os.fchown(descriptor, folder.st_uid, folder.st_gid)
    if not folder.st_mode & stat.S_IRWXO:
        os.fchmod(descriptor, OWNER_ONLY | (folder.st_mode & stat.S_IRGRP))
