"""Style that no linter knows: sizes, names, and what a file of the project must not say."""

from __future__ import annotations

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

from run import ROOT

FILE_LINES_MAX = 400  # a reader still sees the whole; most files stay under 250
FUNCTION_LINES_MAX = 50  # one screen with its docstring; most stay under 30
PACKAGES = ("protocol", "drivers", "edge", "cloud", "provisioning", "tests")
SAYS_NOTHING = re.compile(r"_?(utils?|helpers?|common|misc|manager|base|service)")
NOT_OURS = re.compile(r"(^|/)(\.git|\.venv|dist|__pycache__|\.hypothesis|\.\w+_cache)(/|$)")
# The locks of these tools name the registry that answered them; ours hold names and hashes.
FOREIGN_LOCK = re.compile(r"(^|/)(uv\.lock|pylock.*\.toml|poetry\.lock|package-lock\.json)$")
REGISTRY = re.compile(
    r"\bpypi[.]org|pythonhosted[.]org|npmjs[.]org|\b(deb|security)[.]debian[.]org|-index[-]url\b"
)
PRIVATE_PATH = re.compile(r"""(^|[\s"'`(=:])/(home|root|work|Users)/\w""", re.MULTILINE)


@cache
def project_files() -> list[Path]:
    """The tracked files; without git, or outside a checkout, all but what tools leave behind."""
    try:
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        names = [str(path.relative_to(ROOT)) for path in ROOT.rglob("*")]
        names = [name for name in names if not NOT_OURS.search(name)]
    else:
        names = listed.stdout.split("\0")
    return [ROOT / name for name in sorted(names) if (ROOT / name).is_file()]


@cache
def modules() -> dict[str, ast.Module]:
    """Path below the root -> parsed module, for each Python file of the packages and tests."""
    ours = [path for path in project_files() if path.suffix == ".py"]
    return {
        str(path.relative_to(ROOT)): ast.parse(path.read_text())
        for path in ours
        if path.parent == ROOT or path.relative_to(ROOT).parts[0] in PACKAGES
    }


def files_saying(pattern: re.Pattern[str]) -> list[str]:
    """`file:line: text` for each place where a project file holds the pattern."""
    found = []
    for path in project_files():
        text = path.read_bytes().decode(errors="ignore")
        for match in pattern.finditer(text):
            line = text.count("\n", 0, match.end()) + 1
            found.append(f"{path.relative_to(ROOT)}:{line}: {match[0].strip()}")
    return found


def test_the_files_are_found() -> None:
    assert {"run.py", "tests/architecture/test_tidy.py", "protocol/errors.py"} <= modules().keys()


def test_a_file_is_short() -> None:
    lengths = {name: len((ROOT / name).read_text().splitlines()) for name in modules()}
    assert {name: n for name, n in lengths.items() if n > FILE_LINES_MAX} == {}


def test_a_function_is_short() -> None:
    long = {
        f"{name}:{node.lineno} {node.name}": lines
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES_MAX
    }
    assert long == {}


def test_a_module_says_what_it_is() -> None:
    silent = [name for name, tree in modules().items() if tree.body and not ast.get_docstring(tree)]
    assert silent == []


def test_a_file_is_named_by_its_noun() -> None:
    assert [name for name in modules() if SAYS_NOTHING.fullmatch(Path(name).stem)] == []


def test_no_lock_names_a_registry() -> None:
    names = [str(path.relative_to(ROOT)) for path in project_files()]
    assert [name for name in names if FOREIGN_LOCK.search(name)] == []
    assert files_saying(REGISTRY) == []


def test_no_file_names_a_path_of_one_machine() -> None:
    assert files_saying(PRIVATE_PATH) == []
