"""A broker and a cloud without terminals, and a reader: one of them for each module that asks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from drivers.reader import Reader, ReaderSettings
from drivers.readers.nfc import READER
from drivers.virtual.pn532 import Pn532Device
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


@pytest.fixture(scope="module")
def device() -> Iterator[Pn532Device]:
    device = Pn532Device()
    yield device
    device.close()


@pytest.fixture(scope="module")
def reader(device: Pn532Device) -> Iterator[Reader]:
    reader = READER.open(ReaderSettings(path=f"tty:{device.path}"))
    yield reader
    reader.close()
