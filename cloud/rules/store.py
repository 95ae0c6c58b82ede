"""Bundles in the database, as the bytes that were signed."""

from __future__ import annotations

from sqlalchemy import Connection, Row, func, insert, select
from sqlalchemy.exc import IntegrityError

from cloud.errors import BundleExists, UnknownBundle
from cloud.rules.model import Release
from cloud.storage.schema import bundles
from protocol.rules.bundle import Published


def add_bundle(connection: Connection, published: Published, author: str, now_ms: int) -> Release:
    """Keep a signed bundle; BundleExists when its number is taken."""
    bundle = published.bundle
    new = Release(
        bundle.number, published.digest, published.data, bundle.activate_ms, now_ms, author
    )
    try:
        connection.execute(insert(bundles).values(new._asdict()))
    except IntegrityError as error:
        raise BundleExists(str(bundle.number)) from error
    return new


def newest_number(connection: Connection) -> int:
    """The highest number; 0 before the first bundle."""
    return connection.execute(select(func.max(bundles.c.number))).scalar() or 0


def newest(connection: Connection) -> Release | None:
    """The bundle with the highest number; None before the first."""
    row = connection.execute(
        select(bundles).order_by(bundles.c.number.desc()).limit(1)
    ).one_or_none()
    return None if row is None else _release(row)


def bundle(connection: Connection, number: int) -> Release:
    """One bundle; UnknownBundle when there is none."""
    row = connection.execute(select(bundles).where(bundles.c.number == number)).one_or_none()
    if row is None:
        raise UnknownBundle(str(number))
    return _release(row)


def all_bundles(connection: Connection) -> list[Release]:
    """Every bundle, newest first."""
    rows = connection.execute(select(bundles).order_by(bundles.c.number.desc()))
    return [_release(row) for row in rows]


def in_force(connection: Connection, now_ms: int) -> Release | None:
    """The bundle that terminals should price with at ``now_ms``; None before the first."""
    row = connection.execute(
        select(bundles)
        .where(bundles.c.activate_ms <= now_ms)
        .order_by(bundles.c.number.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else _release(row)


def in_force_from(connection: Connection, least: int, now_ms: int, limit: int) -> list[Release]:
    """Bundles that are in force from ``now_ms`` on, in their order, none below ``least``."""
    now = (
        select(func.coalesce(func.max(bundles.c.number), 0))
        .where(bundles.c.activate_ms <= now_ms)
        .scalar_subquery()
    )
    rows = connection.execute(
        select(bundles)
        .where(bundles.c.number >= now, bundles.c.number >= least)
        .order_by(bundles.c.number)
        .limit(limit)
    )
    return [_release(row) for row in rows]


def _release(row: Row[tuple[object, ...]]) -> Release:
    return Release(**row._mapping)  # noqa: SLF001  (SQLAlchemy's public name of a row's mapping)
