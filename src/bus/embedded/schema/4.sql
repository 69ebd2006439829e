-- What retention has removed, and how large what is left is, as `sizes` counts. One row.
-- removed_to: of the events up to here only those are left that something needs. recordings_removed_to: a sequence.
CREATE TABLE retention (
    removed_to INTEGER NOT NULL,
    recordings_removed_to INTEGER NOT NULL,
    event_bytes INTEGER NOT NULL,
    recording_bytes INTEGER NOT NULL,
    letter_bytes INTEGER NOT NULL
) STRICT;

-- Events that are removed and must not be taken in again whenever they come: states of objects in buckets.
CREATE TABLE remembered (
    id TEXT NOT NULL,
    source TEXT NOT NULL,
    PRIMARY KEY (id, source)
) STRICT, WITHOUT ROWID;

-- event_bytes: of its event, counted with `letter_bytes` while the dead letter is resolved and not expired.
-- expired: it is no longer listed and holds its event no more; it says what became of the event as long as that is there.
ALTER TABLE dead_letters ADD COLUMN event_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE dead_letters ADD COLUMN expired INTEGER NOT NULL DEFAULT 0;

CREATE INDEX aliases_by_position ON aliases (position);
CREATE INDEX deployments_by_position ON deployments (position);
CREATE INDEX dead_letters_by_change ON dead_letters (changed_at) WHERE state <> 0 AND expired = 0;
