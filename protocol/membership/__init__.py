"""A member's account as a fold over events; terminal and cloud run the same code."""
