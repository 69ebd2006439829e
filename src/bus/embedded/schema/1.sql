-- Whose folder this is.
CREATE TABLE project (id BLOB NOT NULL) STRICT;

-- The log. AUTOINCREMENT: a position is never given twice, whatever retention removes.
-- body: the stored form of the event; data above the inline limit lies in the blob store under data_digest.
CREATE TABLE events (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    source TEXT NOT NULL,
    type TEXT NOT NULL,
    correlation TEXT NOT NULL,
    accepted_at INTEGER NOT NULL,
    hops INTEGER NOT NULL,
    origin_kind TEXT NOT NULL,
    origin_name TEXT NOT NULL,
    origin_verified INTEGER NOT NULL,
    body BLOB NOT NULL,
    data_digest BLOB,
    UNIQUE (id, source)
) STRICT;
CREATE INDEX events_by_type ON events (type, position);
CREATE INDEX events_by_correlation ON events (correlation);

-- Accepted, and without a position until they are due.
CREATE TABLE delayed (
    id TEXT NOT NULL,
    source TEXT NOT NULL,
    type TEXT NOT NULL,
    correlation TEXT NOT NULL,
    due INTEGER NOT NULL,
    hops INTEGER NOT NULL,
    origin_kind TEXT NOT NULL,
    origin_name TEXT NOT NULL,
    origin_verified INTEGER NOT NULL,
    body BLOB NOT NULL,
    data_digest BLOB,
    UNIQUE (id, source)
) STRICT;
CREATE INDEX delayed_by_due ON delayed (due);
CREATE INDEX delayed_by_correlation ON delayed (correlation);

-- Other texts that an event is known by: commits, digests, delivery ids.
CREATE TABLE aliases (
    text TEXT NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (text, position)
) STRICT, WITHOUT ROWID;

-- One row for each attempt that was settled. verdict: 0 delivered, 1 retried at retry_at, 2 dead-lettered; 0 and 2 are
-- final, and one final row for a (function, position, round) is the fence.
CREATE TABLE invocations (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    function BLOB NOT NULL,
    position INTEGER NOT NULL,
    round INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    verdict INTEGER NOT NULL,
    retry_at INTEGER,
    failure TEXT,
    settled_at INTEGER NOT NULL,
    duration_micros INTEGER NOT NULL,
    deployment INTEGER NOT NULL,
    component BLOB NOT NULL,
    emitted INTEGER NOT NULL,
    UNIQUE (function, position, round, attempt)
) STRICT;

-- Apart from the attempts, so that these can be listed without reading past them. One of both columns is set.
CREATE TABLE recordings (
    sequence INTEGER PRIMARY KEY,
    bytes BLOB,
    digest BLOB
) STRICT;

-- Each function that ever was deployed: its cursor (at or below it and not pending means settled), and its counts.
CREATE TABLE functions (
    id BLOB PRIMARY KEY,
    position INTEGER NOT NULL,
    delivered INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- Retries and redrives: what the cursor may pass although it is not settled.
CREATE TABLE pending (
    function BLOB NOT NULL,
    position INTEGER NOT NULL,
    round INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    due INTEGER NOT NULL,
    lost INTEGER NOT NULL,
    first_attempt_at INTEGER,
    PRIMARY KEY (function, position)
) STRICT, WITHOUT ROWID;

-- state: 0 open, 1 redriven, 2 dropped.
CREATE TABLE dead_letters (
    function BLOB NOT NULL,
    position INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    round INTEGER NOT NULL,
    state INTEGER NOT NULL,
    changed_at INTEGER,
    dropped_by TEXT,
    PRIMARY KEY (function, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX dead_letters_by_sequence ON dead_letters (sequence);

CREATE TABLE keyvalue (
    space TEXT NOT NULL,
    key TEXT NOT NULL,
    revision INTEGER NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (space, key)
) STRICT, WITHOUT ROWID;

-- The revision of a space is that of its last write; revisions are counted over all spaces.
CREATE TABLE spaces (
    space TEXT PRIMARY KEY,
    revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- cause and body are JSON. position: of its record in the log.
CREATE TABLE deployments (
    number INTEGER PRIMARY KEY,
    position INTEGER NOT NULL,
    at INTEGER NOT NULL,
    cause TEXT NOT NULL,
    body TEXT NOT NULL
) STRICT;

-- Which deployment judges a function's events from a position on.
CREATE TABLE judged (
    function BLOB NOT NULL,
    position INTEGER NOT NULL,
    deployment INTEGER NOT NULL,
    PRIMARY KEY (function, position)
) STRICT, WITHOUT ROWID;
