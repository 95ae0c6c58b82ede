"""Software cards and the carriers that put them in front of a real driver stack; never loaded in production."""
