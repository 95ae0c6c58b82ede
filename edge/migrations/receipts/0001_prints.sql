-- One row a receipt that was ever asked for, as long as the journal has its record.
CREATE TABLE prints (
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    number TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL,        -- drivers.printers.job.JobState
    copy INTEGER NOT NULL,      -- which copy it is, 0 for the original
    asked_ms INTEGER NOT NULL,
    receipt BLOB NOT NULL,      -- drivers.printers.document.Receipt as MessagePack
    PRIMARY KEY (epoch, seq)
) STRICT;

CREATE INDEX prints_by_state ON prints (state, asked_ms);

-- One row: the newest record when the file was made. Whether receipts of records up to it are on
-- paper is not known, if the file before was lost.
CREATE TABLE begun (
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL
) STRICT;
