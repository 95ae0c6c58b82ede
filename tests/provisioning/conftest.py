"""A broker and a cloud without terminals, one of them for each module that asks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from provisioning.brokers import BROKERS
from provisioning.cloud_api import CloudApi
from provisioning.demo.town import Town


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    town = Town(tmp_path_factory.mktemp("town") / "town", BROKERS["nats"])
    try:
        town.open_cloud()
        yield town
    finally:
        town.close()


@pytest.fixture
def api(town: Town) -> Iterator[CloudApi]:
    api = town.api()
    yield api
    api.close()
