-- Pieces of a list that is not complete yet: a list is right only as a whole, so they take effect
-- together with the last one.
CREATE TABLE staged_members (
    member TEXT PRIMARY KEY,
    snapshot BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE staged_cards (
    reference BLOB PRIMARY KEY,
    member TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX staged_cards_by_member ON staged_cards (member);

-- What the pieces are built upon and how far they go, NULL when there are none; and the cloud's
-- clock in the newest message that was taken: an older one is a repeat.
ALTER TABLE list ADD COLUMN staged_base INTEGER;
ALTER TABLE list ADD COLUMN staged_version INTEGER;
ALTER TABLE list ADD COLUMN server_ms INTEGER NOT NULL DEFAULT 0;
