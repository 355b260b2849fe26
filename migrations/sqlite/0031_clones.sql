-- Clones of instances: servers that Holdfast made of a snapshot, each with an end (R23). Rows are never deleted.
CREATE TABLE clone (
    id            BLOB NOT NULL PRIMARY KEY,
    service_id    BLOB NOT NULL REFERENCES service (id),
    source_id     BLOB REFERENCES source (id),
    -- The cloud that it lives in.
    repository_id BLOB NOT NULL REFERENCES repository (id),
    snapshot_id   BLOB REFERENCES snapshot (id),
    run_id        BLOB NOT NULL UNIQUE REFERENCES run (id),
    -- The ids of the cloud.
    server_id     TEXT NOT NULL,
    name          TEXT NOT NULL,
    -- The volumes that were made for it: a list of id, name, size_gb, root.
    volumes       TEXT NOT NULL,
    -- What it costs while it stands.
    vcpus         INTEGER NOT NULL,
    ram_mb        INTEGER NOT NULL,
    disk_gb       INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    -- When it was seen to run, or seen never to.
    ready_at      INTEGER,
    expires_at    INTEGER NOT NULL,
    -- When its absence was proven.
    ended_at      INTEGER,
    ended_why     TEXT,
    -- What stood against its end at the last try.
    trouble       TEXT,
    -- When a process last began to look after it: of several one does.
    tended_at     INTEGER
);
CREATE INDEX clone_service ON clone (service_id, created_at, id);
CREATE INDEX clone_live ON clone (expires_at) WHERE ended_at IS NULL;
