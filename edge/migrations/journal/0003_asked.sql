-- The order as it was asked: a till that repeats its id must ask for the same. A declined order is
-- not in the record.
ALTER TABLE records ADD COLUMN asked BLOB;
