-- What came to a door and was not taken in, the newest of it: neither bodies nor proofs of who sent it. body: JSON.
CREATE TABLE refusals (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;

-- The ids that a refusal is known by.
CREATE TABLE refused_ids (
    id TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    PRIMARY KEY (id, sequence)
) STRICT, WITHOUT ROWID;
CREATE INDEX refused_ids_by_sequence ON refused_ids (sequence);

-- One row. bytes: of the bodies above. since: what was refused after this is there, all of it.
CREATE TABLE refusals_kept (
    bytes INTEGER NOT NULL,
    since INTEGER NOT NULL
) STRICT;
INSERT INTO refusals_kept VALUES (0, unixepoch() * 1000000);
