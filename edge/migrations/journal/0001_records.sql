-- One row a record. The id holds epoch and seq, so that no second index has to be written with
-- each tap; both are columns to read by. `data` are the signed bytes, never written again.
CREATE TABLE records (
    id INTEGER PRIMARY KEY,  -- epoch * 2**32 + seq
    epoch INTEGER GENERATED ALWAYS AS (id >> 32) VIRTUAL,
    seq INTEGER GENERATED ALWAYS AS (id & 0xFFFFFFFF) VIRTUAL,
    hash BLOB NOT NULL,
    tid BLOB NOT NULL,
    kind INTEGER NOT NULL,
    order_id TEXT,           -- what a till repeats: at most one record for each
    wall_ms INTEGER NOT NULL,
    data BLOB NOT NULL,
    answer BLOB              -- the answer that was given, to be given again
) STRICT;

CREATE UNIQUE INDEX records_by_order ON records (order_id) WHERE order_id IS NOT NULL;

-- Voids, bundle switches and operators' commands are few and looked for; other kinds cost nothing.
CREATE INDEX records_of_note ON records (kind, id) WHERE kind IN (3, 12, 15);

-- One row an epoch: the grant that opens its chain, and how far the ledger has it.
CREATE TABLE epochs (
    epoch INTEGER PRIMARY KEY,
    grant_data BLOB NOT NULL,
    upto_seq INTEGER NOT NULL DEFAULT 0,
    watermark BLOB
) STRICT;
