"""Software cards and the carriers that put them before a real driver stack; never in production."""
