"""Keys of sites and cards differ wherever they must, and show nowhere."""

from __future__ import annotations

import pytest

from protocol.card_keys import SITE_SLOTS, ReadKey, SiteKey, card_input
from protocol.estate import EstateKey

ESTATE = EstateKey(bytes(range(32)))
ONE, OTHER = (card_input(bytes((n,) * 7), b"app", 2) for n in (1, 2))


def test_every_key_of_every_card_is_another() -> None:
    keys = [
        made(each).secret
        for each in (ONE, OTHER, card_input(bytes((1,) * 7), b"app", 3))
        for made in (
            ESTATE.credit_key,
            ESTATE.change_key,
            ESTATE.transaction_key,
            ESTATE.site_key("quay").read_key,
            ESTATE.site_key("pier").read_key,
            EstateKey(bytes(32)).change_key,
        )
    ]
    assert len(set(keys)) == len(keys)


def test_a_site_key_derives_read_keys() -> None:
    site = ESTATE.site_key("quay", 3)
    assert (site.site, site.slot) == ("quay", 3)
    assert site.read_key(ONE) == ReadKey(site.read_key(ONE).secret)


def test_no_key_shows_its_secret() -> None:
    for key in (ESTATE, ESTATE.site_key("quay"), ESTATE.change_key(ONE)):
        assert key.secret.hex() not in repr(key)
        assert repr(key.secret) not in repr(key)


@pytest.mark.parametrize(("secret", "slot"), [(bytes(15), 0), (bytes(16), SITE_SLOTS)])
def test_a_wrong_size_or_place_is_refused(secret: bytes, slot: int) -> None:
    with pytest.raises(ValueError, match="site key"):
        SiteKey("quay", secret, slot)
    with pytest.raises(ValueError, match="16 bytes"):
        ReadKey(bytes(17))
    with pytest.raises(ValueError, match="32 bytes"):
        EstateKey(bytes(16))
