"""MQTT brokers of the product: one file each, all with the same small interface (port)."""

from __future__ import annotations

from provisioning.brokers import mosquitto, nats
from provisioning.brokers.port import BrokerKind

BROKERS: dict[str, BrokerKind] = {kind.name: kind for kind in (nats.BROKER, mosquitto.BROKER)}
