"""What a phone that is held to a tag is told, once, and what it is not told."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx
import pytest
from playwright.sync_api import Browser, ViewportSize
from prometheus_client import CollectorRegistry

from cloud import wiring
from cloud.http.identity import Role
from cloud.keys import Keys
from cloud.members import store as members
from protocol.member_list import CardState
from tests.cloud.cards.tags import Tag
from tests.cloud.front import Front, contents
from tests.cloud.town import (
    CURRENCY,
    LEDGER_KEY,
    MORNING_MS,
    RULES_KEY,
    TENANT,
    Town,
    build_town,
    issued_card,
)
from tests.services.browser import accessibility_report, watch
from tests.services.server import Server

Api = Callable[[Role | None], httpx.Client]
PHONE = ViewportSize(width=390, height=780)
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def give(front: Front, tag: Tag) -> Town:
    """Make the tag a card of Ann's."""
    town = build_town(front.database)
    town.add_members("ann")
    card = issued_card("ann's tag")._replace(member="ann", family="ntag424", number=tag.uid)
    with front.database.write() as connection:
        members.add_card(connection, card)
    return town


def test_a_message_holds_once_and_tells_nothing_of_a_person(front: Front, api: Api) -> None:
    tag = Tag()
    give(front, tag)
    link = f"/v1/sun?{tag.read()}"
    answer = api(None).get(link)
    assert answer.json() == {"tenant": TENANT, "member": None, "state": None}
    assert answer.headers["cache-control"] == "no-store"
    before = contents(front.database)
    again = api(None).get(link)
    assert (again.status_code, again.json()["code"]) == (409, "tag_copied")
    assert contents(front.database) == before
    assert api(None).get(f"/v1/sun?{tag.read()}").is_success


def test_who_may_see_the_books_is_told_whose_it_is(front: Front, api: Api) -> None:
    tag = Tag()
    town = give(front, tag)
    reader = api(Role.READER)
    said = reader.get(f"/v1/sun?{tag.read()}").json()
    assert said == {"tenant": TENANT, "member": "ann", "state": "active"}
    with town.database.write() as connection:
        reference = issued_card("ann's tag").reference
        members.set_card_state(connection, reference, CardState.LOST, MORNING_MS)
    assert reader.get(f"/v1/sun?{tag.read()}").json()["state"] == "lost"
    nobodys = replace(tag, uid=bytes(7), counter=0)
    assert reader.get(f"/v1/sun?{nobodys.read()}").json()["member"] is None


def test_a_wrong_token_is_refused_and_counts_nothing(front: Front, api: Api) -> None:
    tag = Tag()
    give(front, tag)
    link = f"/v1/sun?{tag.read()}"
    assert api(Role.PROVISIONER).get(link).status_code == 403
    assert api(None).get(link, headers={"Authorization": "Bearer tl_wrong"}).status_code == 401
    assert api(None).get(link).is_success


@pytest.mark.parametrize(
    ("link", "status", "code"),
    [
        (Tag(label="another").read(), 422, "sun_refused"),
        (Tag().read().replace("s=quay", "s=pier"), 422, "sun_refused"),
        (f"x=1&{Tag().read()}&y=2", 422, "sun_refused"),
        ("s=quay&p=00&e=00&m=00", 422, "sun_refused"),
        ("", 422, "bad_field"),
    ],
)
def test_what_no_tag_of_ours_wrote_is_refused(
    front: Front, api: Api, link: str, status: int, code: str
) -> None:
    before = contents(front.database)
    answer = api(None).get(f"/v1/sun?{link}")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert contents(front.database) == before


def test_of_many_phones_with_one_link_one_is_believed(api: Api) -> None:
    tag, client = Tag(), api(None)
    for _ in range(5):
        link = f"/v1/sun?{tag.read()}"
        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(client.get, [link] * 6))
        assert sorted(each.status_code for each in answers) == [200] + [409] * 5


@pytest.mark.parametrize(
    ("locale", "right", "wrong"),
    [
        ("en-US", "This card is genuine", "shown before"),
        ("zh-CN", "这张卡是真卡", "之前已经用过"),
    ],
)
def test_a_person_is_shown_a_page(
    front: Front, browser: Browser, locale: str, right: str, wrong: str
) -> None:
    tag = Tag()
    give(front, tag)
    context = browser.new_context(viewport=PHONE, locale=locale)
    page = context.new_page()
    complaints = watch(page)
    with Server(front.app) as server:
        link = f"{server.url}/v1/sun?{tag.read()}"
        for text, status in ((right, 200), (wrong, 409)):
            answer = page.goto(link)
            assert answer is not None
            assert answer.status == status
            assert text in page.inner_text("main")
            assert "ann" not in page.inner_text("main").lower()
            assert accessibility_report(page) == ""
    context.close()
    assert complaints == []


def test_without_the_estates_key_no_tag_is_known(front: Front) -> None:
    keys = Keys(LEDGER_KEY, RULES_KEY)
    app = wiring.application(
        TENANT, CURRENCY, keys, front.backend, CollectorRegistry(), lambda: front.ready
    )
    with Server(app) as server:
        answer = httpx.get(f"{server.url}/v1/sun?{Tag().read()}", headers=BROWSER, trust_env=False)
    assert answer.status_code == 422
    assert "sun_refused" in answer.text
