-- A void names its record by number. Numbers rise with time, so a new one lands at the index's end.
CREATE INDEX records_by_tid ON records (tid);
