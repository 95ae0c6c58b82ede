"""How much a terminal may decide alone."""
