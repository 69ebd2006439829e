-- Final settlements, rolled up in the transaction that writes them: how many on the 1,024 positions from first_position on
-- ended in one way, in one bucket of time. outcome: delivered, or the kind of the failure.
CREATE TABLE statistics (
    function BLOB NOT NULL,
    component BLOB NOT NULL,
    first_position INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    up_to_micros INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (function, component, first_position, outcome, up_to_micros)
) STRICT, WITHOUT ROWID;
