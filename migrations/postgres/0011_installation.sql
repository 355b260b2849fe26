-- Copies of Holdfast itself in its repositories (R62). Times are microseconds since 1970 UTC, sizes are bytes.
CREATE TABLE installation_copy (
    repository_id   UUID NOT NULL REFERENCES repository (id),
    restic_id       TEXT NOT NULL,
    run_id          UUID NOT NULL,
    -- the root of the pass that wrote it: the parent of the next one
    root_snapshot   TEXT,
    taken_at        BIGINT NOT NULL,
    -- the last audit event in it
    audit_seq       BIGINT NOT NULL,
    row_count       BIGINT NOT NULL,
    bytes           BIGINT NOT NULL,
    -- whether it holds the installation's own secrets, sealed under the recovery key
    sealed          BOOLEAN NOT NULL,
    -- the newest restore test of it: passed | failed | unknown
    tested_at       BIGINT,
    verdict         TEXT,
    rto_s           DOUBLE PRECISION,
    gone_at         BIGINT,
    PRIMARY KEY (repository_id, restic_id)
);
CREATE INDEX installation_copy_taken ON installation_copy (repository_id, taken_at);
-- Snapshots and holds refer to each other: bringing both back defers the check of this reference.
ALTER TABLE snapshot ALTER CONSTRAINT snapshot_doubt_hold_id_fkey DEFERRABLE INITIALLY IMMEDIATE;
