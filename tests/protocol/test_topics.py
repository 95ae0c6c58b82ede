"""Topics and the document that describes them: code and asyncapi.yaml say the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct, structs

from protocol.command import Command, CommandDone
from protocol.errors import BadTopic, ProtocolError
from protocol.member_list import MemberList
from protocol.rules.bundle import Bundle
from protocol.shadow import Desired, Reported
from protocol.signing import Purpose
from protocol.status import Status
from protocol.topics import (
    RETAINED,
    Down,
    Up,
    address,
    cloud_filter,
    down_topic,
    parse_down,
    parse_up,
    terminal_filter,
    up_topic,
)
from protocol.watermark import Watermark

DOCUMENT = yaml.safe_load(
    (Path(__file__).parents[2] / "protocol" / "asyncapi.yaml").read_text(encoding="utf-8")
)
HERE = address("acme", "site-1", "t-0001")
MESSAGES: dict[Up | Down, type[Struct] | None] = {
    Up.TX: None,
    Up.STATUS: Status,
    Up.REPORTED: Reported,
    Up.RSP: CommandDone,
    Down.ACK: Watermark,
    Down.MEMBERS: MemberList,
    Down.BUNDLE: Bundle,
    Down.DESIRED: Desired,
    Down.CMD: Command,
}


def test_every_leaf_is_built_and_parsed() -> None:
    for up in Up:
        assert parse_up(up_topic(HERE, up)) == (HERE, up)
    for down in Down:
        assert parse_down(down_topic(HERE, down)) == (HERE, down)
    assert terminal_filter(HERE) == "tl/v1/acme/site-1/t-0001/down/#"
    assert cloud_filter("acme") == "tl/v1/acme/+/+/up/#"


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "tl/v1/acme/site-1/t-0001/up",
        "tl/v1/acme/site-1/t-0001/down/tx",
        "tl/v2/acme/site-1/t-0001/up/tx",
        "tl/v1/acme/site-1/T-0001/up/tx",
        "tl/v1/acme/site-1/+/up/tx",
        "tl/v1/acme/site-1/t-0001/up/tx/more",
        "tl/v1/acme//t-0001/up/tx",
        "tl/v1/acme/site-1/t-0001-/up/tx",
    ],
)
def test_a_topic_outside_the_map_is_refused(topic: str) -> None:
    with pytest.raises(BadTopic):
        parse_up(topic)


@given(st.text(max_size=60))
def test_any_text_is_a_topic_or_refused_with_a_code(topic: str) -> None:
    with pytest.raises(ProtocolError):
        parse_down(topic)


@pytest.mark.parametrize("leaf", MESSAGES, ids=str)
def test_the_document_says_what_the_code_does(leaf: Up | Down) -> None:
    channel = DOCUMENT["channels"][leaf.value]
    direction = "up" if isinstance(leaf, Up) else "down"
    place = "tl/v1/{tenant}/{site}/{terminal}"
    assert channel["address"] == f"{place}/{direction}/{leaf.value}"
    assert channel["bindings"]["mqtt"] == {"qos": 1, "retain": leaf in RETAINED}
    kind = MESSAGES[leaf]
    name = "Batch" if kind is None else kind.__name__
    assert list(channel["messages"]) == [name]
    message = DOCUMENT["components"]["messages"][name]
    if kind is not None:
        assert message["x-fields"] == [field.name for field in structs.fields(kind)]
    if isinstance(leaf, Down):
        assert message["x-signed"] in set(Purpose)


def test_the_document_knows_no_other_channel() -> None:
    assert set(DOCUMENT["channels"]) == {leaf.value for leaf in MESSAGES}
    assert set(MESSAGES) == {*Up, *Down}
