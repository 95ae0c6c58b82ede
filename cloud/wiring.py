"""Builds every object of the cloud once; the only module that reads clock and randomness."""

from __future__ import annotations

import gc
import random
import secrets
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from cloud import keys
from cloud.cards import api as cards_api
from cloud.cards.counters import TagCounters
from cloud.cards.model import TagMessages
from cloud.clock import RisingClock, newest_time
from cloud.config import Settings
from cloud.console import login, overview
from cloud.console.files import VersionedFiles
from cloud.console.shell import STATIC_PATH, Shell
from cloud.errors import BadConfig, StorageDown
from cloud.fleet import api as fleet_api
from cloud.fleet import pages as fleet_pages
from cloud.fleet.gauges import FleetGauges
from cloud.gateway.counts import Counts
from cloud.gateway.mqtt import MqttLine, MqttSettings
from cloud.gateway.station import Station
from cloud.gateway.tell import Teller
from cloud.http.app import Parts, create_app
from cloud.http.backend import Backend
from cloud.http.guard import Guard
from cloud.http.identity import CONSOLE_PATH, SECRET_BYTES, Role, Sessions, digest_of, new_token
from cloud.http.store import (
    HeldToken,
    StoredCredentials,
    add_token,
    all_tokens,
    revoke_token,
)
from cloud.ledger import api as ledger_api
from cloud.ledger import pages as ledger_pages
from cloud.ledger.transaction import Ledger
from cloud.members import api as members_api
from cloud.members import pages as members_pages
from cloud.members import store as members_store
from cloud.rules import api as rules_api
from cloud.rules import pages as rules_pages
from cloud.storage.engine import Database, open_database
from cloud.storage.migration import check_version, migrate

_TOKEN_ID_BYTES = 6
# The largest number of a message (protocol.record.Count): two lives never draw the same.
FEED_MAX = (1 << 53) - 1
# New containers until the youngest are looked at, then how many looks until the older ones are:
# some 5,000 records.
COLLECT_AFTER = (50_000, 50, 100)


class Clocks:
    """``wall_ms`` is what terminals are told, the rest are the machine's clocks."""

    def __init__(self, wall_ms: Callable[[], int]) -> None:
        self.wall_ms = wall_ms

    @staticmethod
    def machine_ms() -> int:
        """UTC in ms since 1970, as the machine has it: how long tokens and sessions last."""
        return time.time_ns() // 1_000_000

    @staticmethod
    def mono_s() -> float:
        """Monotonic, in seconds."""
        return time.monotonic()


def database_of(settings: Settings) -> Database:
    """The configured database; nothing is asked of it yet."""
    return open_database(settings.config.database, settings.folder)


def initialise(settings: Settings) -> str:
    """Make keys and tables, and return the first token, which is kept nowhere."""
    keys.make(settings.keys)
    database = database_of(settings)
    try:
        migrate(database)
    finally:
        database.close()
    return make_token(settings, Role.ADMIN, "first")


def make_token(settings: Settings, role: Role, label: str) -> str:
    """Return a new token; the database keeps its hash."""
    token = new_token(secrets.token_bytes(SECRET_BYTES))
    database = database_of(settings)
    try:
        with database.write() as connection:
            identity = secrets.token_hex(_TOKEN_ID_BYTES)
            add_token(connection, identity, digest_of(token), role, label, Clocks.machine_ms())
    finally:
        database.close()
    return token


def held_tokens(settings: Settings) -> list[HeldToken]:
    """Every token that was ever made, newest first."""
    database = database_of(settings)
    try:
        with database.read() as connection:
            return all_tokens(connection)
    finally:
        database.close()


def end_token(settings: Settings, token_id: str) -> None:
    """End a token and its sessions at once; UnknownToken when it is not valid."""
    database = database_of(settings)
    try:
        with database.write() as connection:
            revoke_token(connection, token_id, Clocks.machine_ms())
    finally:
        database.close()


def begin_feed(settings: Settings) -> None:
    """Make every terminal take the whole member list again: the database came from a backup."""
    database = database_of(settings)
    try:
        with database.write() as connection:
            check_version(connection)
            members_store.begin_feed(connection, _new_feed())
    finally:
        database.close()


def _ensure_feed(database: Database) -> None:
    """A ledger draws its first feed when it is first served."""
    with database.write() as connection:
        if not members_store.feed(connection):
            members_store.begin_feed(connection, _new_feed())


def _new_feed() -> int:
    return 1 + secrets.randbelow(FEED_MAX)


@contextmanager
def cloud_of(settings: Settings) -> Iterator[FastAPI]:
    """A running cloud: its application, with the line and the ledger's thread beside it."""
    own = keys.load(settings.keys, settings.estate)
    database = database_of(settings)
    with database.read() as connection:
        check_version(connection)
        clocks = Clocks(RisingClock(Clocks.machine_ms, newest_time(connection)))
    _ensure_feed(database)
    registry = CollectorRegistry()
    registry.register(FleetGauges(database, clocks.wall_ms))
    line = _line(settings)
    tenant, currency = settings.config.tenant, settings.config.currency
    ledger = Ledger(database, currency, clocks.wall_ms)
    teller = Teller(database, line, own.ledger, tenant, clocks.wall_ms)
    station = Station(database, ledger, teller, Counts(registry), clocks, tenant)
    credentials = StoredCredentials(database)
    backend = Backend(
        guard=Guard(credentials, Sessions(credentials, Clocks.machine_ms, secrets.token_bytes)),
        database=database,
        line=station,
        clock_ms=Clocks.machine_ms,
        random=secrets.token_bytes,
    )

    def readiness() -> Mapping[str, bool]:
        return {
            "database": _answers(database),
            "broker": line.is_up,
            "ledger": station.is_alive,
        }

    app = application(tenant, currency, own, backend, registry, readiness)
    calm_collector()
    station.start()
    line.start(station)
    try:
        yield app
    finally:
        station.stop()
        line.stop()
        database.close()


def calm_collector() -> None:
    """Let the garbage collector look seldom, and never at what stays for ever.

    Ingest makes many short-lived values and no cycles: looking for some took a third of its time.
    """
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


def _line(settings: Settings) -> MqttLine:
    mqtt = settings.config.mqtt
    where = MqttSettings(
        client_id=keys.client_id(settings.keys),
        host=mqtt.host,
        port=mqtt.port,
        ca=settings.path(mqtt.ca),
        certificate=settings.path(mqtt.certificate),
        key=settings.path(mqtt.key),
    )
    _check_files(where)
    return MqttLine(where, settings.config.tenant, random.random, Clocks.mono_s)


def _check_files(where: MqttSettings) -> None:
    """BadConfig for files with which no line will ever stand."""
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(where.ca)
    except OSError as error:
        raise BadConfig(f"mqtt.ca: {where.ca}: {error.strerror or error}") from error
    try:
        context.load_cert_chain(where.certificate, where.key)
    except OSError as error:
        files = f"mqtt.certificate, mqtt.key: {where.certificate}, {where.key}"
        raise BadConfig(f"{files}: {error.strerror or error}") from error


def _answers(database: Database) -> bool:
    try:
        with database.read() as connection:
            connection.exec_driver_sql("SELECT 1")
    except StorageDown:
        return False
    return True


def application(
    tenant: str,
    currency: str,
    own: keys.Keys,
    backend: Backend,
    registry: CollectorRegistry,
    readiness: Callable[[], Mapping[str, bool]],
) -> FastAPI:
    """The HTTP application: every router of the API, every page of the console."""
    public = (keys.public_text(own.ledger),), (keys.public_text(own.rules),)
    fleet_keys = fleet_api.Keys(tenant, own.ledger, *public)
    publisher = rules_api.Publisher(tenant, currency, own.rules)
    places = (
        *(overview.PLACE, fleet_pages.PLACE, members_pages.PLACE, ledger_pages.PLACE),
        *(rules_pages.PLACE, ledger_pages.QUARANTINE_PLACE),
    )
    panels = (fleet_pages.PANEL, members_pages.PANEL, rules_pages.PANEL, ledger_pages.PANEL)
    shell = Shell(backend, places, tenant, currency)
    counters = None
    if own.estate is not None:
        messages = TagMessages(own.estate, tenant)
        counters = TagCounters(backend.database, messages, backend.clock_ms)
    desk = cards_api.TagDesk(counters, tenant)
    return create_app(
        Parts(
            guard=backend.guard,
            routers=(
                *(fleet_api.router(backend, fleet_keys), members_api.router(backend)),
                *(ledger_api.router(backend, currency), rules_api.router(backend, publisher)),
                *(cards_api.router(shell, desk), login.router(shell)),
                overview.router(shell, panels),
                *(fleet_pages.router(shell, fleet_keys), members_pages.router(shell)),
                *(ledger_pages.router(shell, currency), rules_pages.router(shell, publisher)),
            ),
            static={STATIC_PATH: VersionedFiles()},
            readiness=readiness,
            registry=registry,
            version=_version(),
            pages=CONSOLE_PATH,
            error_page=shell.error_page,
        )
    )


def _version() -> str:
    try:
        return version("tapledger")
    except PackageNotFoundError:  # run from a checkout
        return "0.0.0"
