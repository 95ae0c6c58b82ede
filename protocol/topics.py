"""The topic map: every topic is built and parsed here, and nowhere else.

    tl/v1/{tenant}/{site}/{terminal}/up/{leaf}      a terminal speaks
    tl/v1/{tenant}/{site}/{terminal}/down/{leaf}    the cloud speaks to it

Each side needs one wildcard subscription: its own direction.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from protocol.errors import BadTopic, Malformed
from protocol.identifiers import SiteId, TenantId, TerminalId, check_level

_ROOT = ("tl", "v1")


class Up(StrEnum):
    """What a terminal publishes."""

    TX = "tx"  # batches; QoS 1
    STATUS = "status"  # Status; QoS 1, retained, also the last will
    REPORTED = "reported"  # Reported; QoS 1, retained
    RSP = "rsp"  # CommandDone; QoS 1


class Down(StrEnum):
    """What the cloud publishes to one terminal."""

    ACK = "ack"  # Watermark, signed; QoS 1, retained
    MEMBERS = "members"  # MemberList, signed; QoS 1
    BUNDLE = "bundle"  # Bundle, signed; QoS 1, retained
    DESIRED = "desired"  # Desired, signed; QoS 1, retained
    CMD = "cmd"  # Command, signed; QoS 1


# A message that a later session must find without asking.
RETAINED: frozenset[Up | Down] = frozenset(
    (Up.STATUS, Up.REPORTED, Down.ACK, Down.BUNDLE, Down.DESIRED)
)


class Address(NamedTuple):
    """Where a terminal stands."""

    tenant: TenantId
    site: SiteId
    terminal: TerminalId


def address(tenant: str, site: str, terminal: str) -> Address:
    """Return the checked address; Malformed when a level is not one."""
    return Address(
        TenantId(check_level(tenant)), SiteId(check_level(site)), TerminalId(check_level(terminal))
    )


def up_topic(at: Address, leaf: Up) -> str:
    """Topic on which the terminal publishes ``leaf``."""
    return "/".join((*_ROOT, *at, "up", leaf))


def down_topic(at: Address, leaf: Down) -> str:
    """Topic on which the cloud publishes ``leaf``."""
    return "/".join((*_ROOT, *at, "down", leaf))


def terminal_filter(at: Address) -> str:
    """The one subscription of a terminal."""
    return "/".join((*_ROOT, *at, "down", "#"))


def cloud_filter(tenant: str = "+") -> str:
    """The one subscription of the cloud."""
    return "/".join((*_ROOT, tenant, "+", "+", "up", "#"))


def parse_up(topic: str) -> tuple[Address, Up]:
    """Return who speaks and what; BadTopic for anything outside the map."""
    at, leaf = _parse(topic, "up")
    try:
        return at, Up(leaf)
    except ValueError as error:
        raise BadTopic(topic[:120]) from error


def parse_down(topic: str) -> tuple[Address, Down]:
    """Return who is spoken to and what; BadTopic for anything outside the map."""
    at, leaf = _parse(topic, "down")
    try:
        return at, Down(leaf)
    except ValueError as error:
        raise BadTopic(topic[:120]) from error


def _parse(topic: str, direction: str) -> tuple[Address, str]:
    levels = topic.split("/")
    if len(levels) != 7 or tuple(levels[:2]) != _ROOT or levels[5] != direction:
        raise BadTopic(topic[:120])
    try:
        return address(*levels[2:5]), levels[6]
    except Malformed as error:
        raise BadTopic(topic[:120]) from error
