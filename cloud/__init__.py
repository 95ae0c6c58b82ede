"""The cloud: ledger, members, rules and fleet behind an MQTT gateway and an HTTP interface."""
