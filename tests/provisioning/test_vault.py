"""What root writes into a program's folder can be read by that program, and by nobody else."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from provisioning.vault import private_folder, write_private

# Any ids but root's: nobody needs to have them.
OWNER, GROUP = 61001, 61002

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it gives files away")


@pytest.mark.parametrize(
    ("folder_mode", "file_mode"), [(0o700, 0o600), (0o750, 0o640), (0o755, 0o600)]
)
def test_a_file_belongs_to_whom_its_folder_belongs_to(
    tmp_path: Path, folder_mode: int, file_mode: int
) -> None:
    folder = tmp_path / "program"
    folder.mkdir()
    os.chown(folder, OWNER, GROUP)
    folder.chmod(folder_mode)
    for _ in range(2):  # made, then replaced
        found = write_private(folder / "key", b"secret").stat()
        assert (found.st_uid, found.st_gid) == (OWNER, GROUP)
        assert stat.S_IMODE(found.st_mode) == file_mode


def test_a_folder_belongs_to_whom_the_one_above_belongs_to(tmp_path: Path) -> None:
    os.chown(tmp_path, OWNER, GROUP)
    made = private_folder(tmp_path / "one" / "two")
    for each in (made, made.parent):
        found = each.stat()
        assert (found.st_uid, found.st_gid) == (OWNER, GROUP)
        assert stat.S_IMODE(found.st_mode) == 0o700
