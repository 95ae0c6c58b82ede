"""JSON documents of price and rule bundles."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from pydantic import AwareDatetime, Field, model_validator

from cloud.http.document import Body, Document, Milliseconds, Since, base64_text
from cloud.rules.model import Draft, Release
from protocol.codec import decode
from protocol.membership.tiers import Tier
from protocol.money import AMOUNT_MAX, QUANTITY_MAX
from protocol.risk.limits import OfflineLimits
from protocol.rules.bundle import Bundle, Golden, Product, Rule
from protocol.signing import split

Amount = Annotated[int, Field(ge=0, le=AMOUNT_MAX, description="Minor units.")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9_.-]{1,40}$")]
Tiername = Annotated[str, Field(pattern=r"^[a-z0-9_.-]{0,40}$", description="Empty = no tier.")]
Text = Annotated[str, Field(max_length=64)]
BundleState = Literal["in_force", "scheduled", "past"]


class NewProduct(Body):
    """A product with its list price."""

    sku: Annotated[Name, Field(examples=["coffee"])]
    price: Annotated[Amount, Field(examples=[1800])]
    name_zh: Annotated[Text, Field(examples=["咖啡"])]
    name_en: Annotated[Text, Field(examples=["Coffee"])]


class NewRule(Body):
    """A rule; what ``settings`` holds is up to its kind."""

    id: Annotated[Name, Field(examples=["gold-10"])]
    kind: Annotated[Name, Field(examples=["percent_off"])]
    settings: Annotated[dict[str, Any], Field(examples=[{"basis_points": 1000, "tier": "gold"}])]


class NewTier(Body):
    """A tier and the spend that reaches it."""

    name: Annotated[Name, Field(examples=["gold"])]
    from_spend: Annotated[int, Field(ge=0, examples=[100_000], description="Minor units.")]


class NewLimits(Body):
    """What one card may spend at one terminal since that terminal was last online."""

    count_max: Annotated[int, Field(ge=0, examples=[10])]
    amount_max: Annotated[Amount, Field(examples=[20_000])]


class Item(Body):
    """Some pieces of one product."""

    sku: Annotated[Name, Field(examples=["coffee"])]
    quantity: Annotated[int, Field(ge=1, le=QUANTITY_MAX, examples=[2])]


class NewGolden(Body):
    """A basket with the result that every terminal must find before it arms the bundle."""

    tier: Tiername = ""
    basket: list[Item]
    total: Annotated[Amount, Field(examples=[3600])]
    earned: Annotated[Amount, Field(description="Points.", examples=[0])]


class NewBundle(Body):
    """Prices and rules, in force from ``activate_ms`` or ``activate_at`` until a higher number."""

    number: Annotated[
        int | None, Field(ge=1, lt=1 << 53, description="Without it: the next one.")
    ] = None
    activate_ms: Annotated[
        Milliseconds | None, Field(description="UTC, ms since 1970; this or activate_at.")
    ] = None
    activate_at: Annotated[
        AwareDatetime | None,
        Field(
            strict=False,
            description="RFC 3339 with offset.",
            examples=["2026-12-01T06:00:00+08:00"],
        ),
    ] = None
    currency: Annotated[
        str | None,
        Field(pattern="^[A-Z]{3}$", description="Without it: the tenant's.", examples=["CNY"]),
    ] = None
    products: Annotated[list[NewProduct], Field(min_length=1)]
    rules: list[NewRule] = Field(default_factory=list)
    tiers: list[NewTier] = Field(default_factory=list)
    limits: NewLimits | None = None
    golden: list[NewGolden] = Field(default_factory=list)

    @model_validator(mode="after")
    def _one_time(self) -> NewBundle:
        if (self.activate_ms is None) == (self.activate_at is None):
            raise ValueError("give either activate_ms or activate_at")
        return self

    def draft(self, currency: str) -> Draft:
        """Return what is to be released; ``currency`` is the tenant's."""
        moment = self.activate_at
        activate_ms = int(moment.timestamp() * 1000) if moment else self.activate_ms or 0
        limits = self.limits
        return Draft(
            number=self.number,
            activate_ms=activate_ms,
            currency=self.currency or currency,
            products=tuple(Product(**each.model_dump()) for each in self.products),
            rules=tuple(Rule(**each.model_dump()) for each in self.rules),
            tiers=tuple(Tier(**each.model_dump()) for each in self.tiers),
            limits=OfflineLimits(limits.count_max, limits.amount_max)
            if limits
            else OfflineLimits(),
            golden=tuple(
                Golden(
                    each.tier,
                    tuple((item.sku, item.quantity) for item in each.basket),
                    each.total,
                    each.earned,
                )
                for each in self.golden
            ),
        )


class BundleLine(Document):
    """A bundle in a listing."""

    number: int
    digest: Annotated[str, Field(description="SHA-256 of the payload, hex.")]
    state: BundleState
    activate_ms: Since
    published_ms: Since
    author: str


class BundleDocument(BundleLine):
    """A bundle with its content and the bytes that were signed."""

    data: Annotated[str, Field(description="The COSE_Sign1 that terminals get, base64.")]
    currency: str
    products: list[dict[str, Any]]
    rules: list[dict[str, Any]]
    tiers: list[dict[str, Any]]
    limits: dict[str, int]
    golden: list[dict[str, Any]]


class Bundles(Document):
    """All bundles, newest first."""

    bundles: list[BundleLine]


def state_of(release: Release, in_force: int, now_ms: int) -> BundleState:
    """Where ``release`` stands when the bundle ``in_force`` is (0 = none)."""
    if release.number == in_force:
        return "in_force"
    waits = release.activate_ms > now_ms and release.number > in_force
    return "scheduled" if waits else "past"


def bundle_line(release: Release, in_force: int, now_ms: int) -> BundleLine:
    """Return ``release`` as a listing shows it."""
    return BundleLine(
        number=release.number,
        digest=release.digest.hex(),
        state=state_of(release, in_force, now_ms),
        activate_ms=release.activate_ms,
        published_ms=release.published_ms,
        author=release.author,
    )


def content(release: Release) -> Bundle:
    """Return what was signed."""
    return decode(split(release.data).payload, Bundle)


def bundle_document(release: Release, in_force: int, now_ms: int) -> BundleDocument:
    """Return ``release`` with its content, in the words of NewBundle."""
    bundle = content(release)
    fields = msgspec.structs.asdict
    return BundleDocument(
        **bundle_line(release, in_force, now_ms).model_dump(),
        data=base64_text(release.data),
        currency=bundle.currency,
        products=[fields(each) for each in bundle.products],
        rules=[fields(each) for each in bundle.rules],
        tiers=[fields(each) for each in bundle.tiers],
        limits=fields(bundle.limits),
        golden=[
            fields(each) | {"basket": [{"sku": sku, "quantity": n} for sku, n in each.basket]}
            for each in bundle.golden
        ],
    )
