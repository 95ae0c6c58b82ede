"""Static files: what is vendored is what was published, and what has a version is kept."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha384

import httpx
import pytest

from cloud.console.shell import STATIC
from cloud.http.identity import Role

VENDOR = STATIC / "vendor"
VENDORED = json.loads((VENDOR / "VENDOR.json").read_text())


@pytest.mark.parametrize("entry", VENDORED, ids=lambda entry: entry["file"])
def test_a_vendored_file_is_what_was_published(entry: dict[str, str]) -> None:
    content = (VENDOR / entry["file"]).read_bytes()
    assert b64encode(sha384(content).digest()).decode() == entry["sha384"]
    assert entry["version"] in entry["file"]
    assert (VENDOR / entry["licence_file"]).is_file()


def test_nothing_is_vendored_without_its_origin() -> None:
    told = {entry[key] for entry in VENDORED for key in ("file", "licence_file")}
    assert {path.name for path in VENDOR.iterdir()} == told | {"VENDOR.json"}


def test_no_file_of_ours_names_another_host() -> None:
    for path in (STATIC / "console.css", STATIC / "console.js", *STATIC.glob("*.svg")):
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert re.findall(r"https?://|//[a-z]+\.|url\(|@import", text) == [], path.name


def test_a_file_with_a_version_is_kept_by_the_browser(
    client: Callable[[Role | None], httpx.Client],
) -> None:
    page = client(None).get("/console/login").text
    addresses = re.findall(r'(?:href|src)="(/console/static/[^"]+)"', page)
    assert len(addresses) >= 4
    for address in addresses:
        answer = client(None).get(address.partition("#")[0])
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    plain = client(None).get("/console/static/console.css")
    assert plain.headers["cache-control"] == "no-store"
    assert client(None).get("/console/static/../shell.py").status_code == 404
