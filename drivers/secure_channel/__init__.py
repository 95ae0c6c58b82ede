"""Sessions between a terminal and a card: one file each; dialogues say who talks when."""
