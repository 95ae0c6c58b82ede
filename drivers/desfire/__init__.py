"""MIFARE DESFire seen by a terminal and a personalisation station: commands, session, purse."""
