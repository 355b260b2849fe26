-- What lies in a cloud and is named by no record, as it was last listed. A row goes when the cloud no longer lists it,
-- or when it has been adopted.
CREATE TABLE orphan (
    id            BLOB NOT NULL PRIMARY KEY,
    repository_id BLOB NOT NULL REFERENCES repository (id),
    -- The cloud's id of the whole.
    unit_id       TEXT NOT NULL,
    name          TEXT NOT NULL,
    native        TEXT NOT NULL,
    bytes         INTEGER NOT NULL,
    made_at       INTEGER NOT NULL,
    -- All of its pieces are finished.
    ready         BOOLEAN NOT NULL,
    why           TEXT NOT NULL,
    detail        TEXT NOT NULL,
    -- The record whose parts these are, where others of them are gone.
    snapshot_id   BLOB REFERENCES snapshot (id),
    found_at      INTEGER NOT NULL,
    seen_at       INTEGER NOT NULL,
    -- Somebody wants it to be deleted; a server does it.
    delete_at     INTEGER,
    delete_by     TEXT,
    delete_reason TEXT,
    -- Why it could not be deleted.
    trouble       TEXT,
    UNIQUE (repository_id, unit_id)
);
CREATE INDEX orphan_made ON orphan (repository_id, made_at, id);
