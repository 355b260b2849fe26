-- Copies of Holdfast itself in its repositories (R62). Times are microseconds since 1970 UTC, sizes are bytes.
CREATE TABLE installation_copy (
    repository_id   BLOB NOT NULL REFERENCES repository (id),
    restic_id       TEXT NOT NULL,
    run_id          BLOB NOT NULL,
    -- the root of the pass that wrote it: the parent of the next one
    root_snapshot   TEXT,
    taken_at        INTEGER NOT NULL,
    -- the last audit event in it
    audit_seq       INTEGER NOT NULL,
    row_count       INTEGER NOT NULL,
    bytes           INTEGER NOT NULL,
    -- whether it holds the installation's own secrets, sealed under the recovery key
    sealed          BOOLEAN NOT NULL,
    -- the newest restore test of it: passed | failed | unknown
    tested_at       INTEGER,
    verdict         TEXT,
    rto_s           REAL,
    gone_at         INTEGER,
    PRIMARY KEY (repository_id, restic_id)
);
CREATE INDEX installation_copy_taken ON installation_copy (repository_id, taken_at);
-- Snapshots and holds refer to each other: SQLite defers the check of references by a pragma of the transaction.
