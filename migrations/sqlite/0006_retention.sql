-- Which snapshots are kept, and what stands against forgetting any (R16, R21).

-- The rules of retention by name. A source without a policy forgets nothing.
CREATE TABLE policy (
    id          BLOB NOT NULL PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    rules       TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    removed_at  INTEGER
);
ALTER TABLE source ADD COLUMN policy_id BLOB REFERENCES policy (id);

-- While a hold stands, nothing that it covers is forgotten: a service, one of its items, or one snapshot.
CREATE TABLE hold (
    id              BLOB NOT NULL PRIMARY KEY,
    service_id      BLOB NOT NULL REFERENCES service (id),
    item_id         BLOB REFERENCES item (id),
    snapshot_id     BLOB REFERENCES snapshot (id),
    -- person | guard: a guard's hold also pauses prunes of the repositories concerned
    kind            TEXT NOT NULL,
    reason          TEXT NOT NULL,
    -- what the guard measured
    facts           TEXT,
    -- the run that made it
    run_id          BLOB,
    actor           TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    released_at     INTEGER,
    released_by     TEXT,
    release_reason  TEXT,
    -- released | kept
    decision        TEXT
);
CREATE INDEX hold_created ON hold (created_at, id);
CREATE INDEX hold_standing ON hold (service_id, created_at, id) WHERE released_at IS NULL;

-- Why a snapshot is no longer in its repository, in words, and the run that forgot it or found it missing.
ALTER TABLE snapshot ADD COLUMN gone_why TEXT;
ALTER TABLE snapshot ADD COLUMN gone_run_id BLOB;
CREATE INDEX snapshot_gone_run ON snapshot (gone_run_id) WHERE gone_run_id IS NOT NULL;
CREATE INDEX snapshot_repository ON snapshot (repository_id, gone_at, id);

-- What the last prune left: bytes in packs that wait for their deletion.
ALTER TABLE repository ADD COLUMN pruned_at INTEGER;
ALTER TABLE repository ADD COLUMN marked_bytes INTEGER;

-- Versions of files that ended between two times: those that went with a forgotten snapshot.
CREATE INDEX file_version_until ON file_version (item_id, until_at) WHERE until_at IS NOT NULL;
