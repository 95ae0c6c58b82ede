"""The cloud's HTTP edge: who calls, what a request may hold, and how an error is told."""
