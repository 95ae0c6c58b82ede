"""One file, one benchmark: it defines BENCH, and `run.py bench` finds it."""
