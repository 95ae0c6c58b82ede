-- What the cloud told this terminal. All of it can be fetched again, so it lives apart from the
-- journal, which cannot.
CREATE TABLE members (
    member TEXT PRIMARY KEY,
    snapshot BLOB NOT NULL   -- protocol.member_list.Snapshot as MessagePack
) STRICT, WITHOUT ROWID;

CREATE TABLE cards (
    reference BLOB PRIMARY KEY,
    member TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX cards_by_member ON cards (member);

CREATE TABLE bundles (
    number INTEGER PRIMARY KEY,
    data BLOB NOT NULL       -- signed bytes, as they came
) STRICT;

-- One row: which version the list has, and which of our own records are in it.
CREATE TABLE list (
    list_version INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    upto_seq INTEGER NOT NULL
) STRICT;

INSERT INTO list VALUES (0, 0, 0);
