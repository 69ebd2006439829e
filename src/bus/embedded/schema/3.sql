-- Events that are not run for a function, since `newer` was accepted. at: when that was decided, under which deployment.
CREATE TABLE superseded (
    position INTEGER NOT NULL,
    function BLOB NOT NULL,
    round INTEGER NOT NULL,
    newer INTEGER NOT NULL,
    at INTEGER NOT NULL,
    deployment INTEGER NOT NULL,
    PRIMARY KEY (position, function)
) STRICT, WITHOUT ROWID;

-- Of each line of a function that supersedes: the newest event that was settled for good.
CREATE TABLE newest (
    function BLOB NOT NULL,
    line TEXT NOT NULL,
    rank TEXT NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (function, line)
) STRICT, WITHOUT ROWID;
