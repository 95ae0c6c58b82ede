-- Debits of purses on cards that a card was, or is about to be, asked for, and of which no record
-- says what became. A card has one at a time.
CREATE TABLE intents (
    tid BLOB PRIMARY KEY,              -- of the record that will say that the money moved
    reference BLOB NOT NULL UNIQUE,    -- the card
    record BLOB NOT NULL,              -- that record as it was decided, not signed
    asked BLOB,                        -- its order, as records have it
    data BLOB NOT NULL,                -- the card family's own
    told INTEGER NOT NULL DEFAULT 0    -- whether the journal has a record of the torn debit
) STRICT, WITHOUT ROWID;
