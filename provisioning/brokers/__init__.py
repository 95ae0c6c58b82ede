"""MQTT brokers of the product: one file each, all with the same small interface (port)."""
