"""The page in front of the member: what it shows, its texts, and the server that brings it."""
