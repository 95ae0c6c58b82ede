-- Which life of the ledger the list comes from, and the pieces that wait: versions count up in each.
ALTER TABLE list ADD COLUMN feed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE list ADD COLUMN staged_feed INTEGER NOT NULL DEFAULT 0;
