"""Card families as the card desk writes them: each file has PERSONALISATION; none knows another."""
