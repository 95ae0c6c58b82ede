"""The program in docs/drivers.md runs as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys

from run import ROOT


def test_the_drivers_are_used_on_their_own_as_the_guide_says() -> None:
    guide = (ROOT / "docs/drivers.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    assert not re.search(r"\b(edge|cloud|provisioning)\b", program)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert re.fullmatch(r"desfire VALUE 0 [0-9a-f]{32}\n", done.stdout)
