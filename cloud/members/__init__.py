"""Members, their cards, and the feed of both to the terminals."""
