-- Clones of instances: servers that Holdfast made of a snapshot, each with an end (R23). Rows are never deleted.
CREATE TABLE clone (
    id            UUID NOT NULL PRIMARY KEY,
    service_id    UUID NOT NULL REFERENCES service (id),
    source_id     UUID REFERENCES source (id),
    -- The cloud that it lives in.
    repository_id UUID NOT NULL REFERENCES repository (id),
    snapshot_id   UUID REFERENCES snapshot (id),
    run_id        UUID NOT NULL UNIQUE REFERENCES run (id),
    -- The ids of the cloud.
    server_id     TEXT NOT NULL,
    name          TEXT NOT NULL,
    -- The volumes that were made for it: a list of id, name, size_gb, root.
    volumes       JSONB NOT NULL,
    -- What it costs while it stands.
    vcpus         BIGINT NOT NULL,
    ram_mb        BIGINT NOT NULL,
    disk_gb       BIGINT NOT NULL,
    created_at    BIGINT NOT NULL,
    -- When it was seen to run, or seen never to.
    ready_at      BIGINT,
    expires_at    BIGINT NOT NULL,
    -- When its absence was proven.
    ended_at      BIGINT,
    ended_why     TEXT,
    -- What stood against its end at the last try.
    trouble       TEXT,
    -- When a process last began to look after it: of several one does.
    tended_at     BIGINT
);
CREATE INDEX clone_service ON clone (service_id, created_at, id);
CREATE INDEX clone_live ON clone (expires_at) WHERE ended_at IS NULL;
