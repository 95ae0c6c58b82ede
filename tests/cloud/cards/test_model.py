"""A tag's message holds only under the estate's key, for this tenant, and unchanged."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloud.cards.model import TagMessages, TagRead
from protocol.errors import SunRefused
from protocol.estate import EstateKey
from protocol.sun import SunMode
from tests.cloud.cards.tags import ESTATE, Tag
from tests.cloud.town import TENANT

MESSAGES = TagMessages(ESTATE, TENANT)


def link(tag: Tag) -> bytes:
    """The tag's next link."""
    return b"https://card.example/v1/sun?" + tag.read().encode()


@pytest.mark.parametrize("mode", SunMode)
def test_it_says_which_tag_and_which_read(mode: SunMode) -> None:
    tag = Tag(mode=mode, counter=41)
    assert MESSAGES.read(link(tag)) == TagRead(tag.uid, 42)


def test_tags_of_every_site_are_known() -> None:
    for site in ("quay", "pier", "dock"):
        MESSAGES.read(link(Tag(site=ESTATE.site_key(site))))


@pytest.mark.parametrize(
    "tag",
    [
        Tag(site=EstateKey(bytes(32)).site_key("quay")),
        Tag(label="another"),
        Tag(site=replace(ESTATE.site_key("quay"), site="pier")),
    ],
    ids=["another estate", "another tenant", "another site's name"],
)
def test_what_is_not_ours_is_refused(tag: Tag) -> None:
    with pytest.raises(SunRefused):
        MESSAGES.read(link(tag))


def test_every_changed_character_is_noticed() -> None:
    right = link(Tag())
    for at in range(right.index(b"s=quay"), len(right)):
        changed = b"0" if right[at : at + 1] != b"0" else b"1"
        with pytest.raises(SunRefused):
            MESSAGES.read(right[:at] + changed + right[at + 1 :])
