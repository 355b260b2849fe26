-- The first schema of Holdfast. Times are microseconds since 1970 UTC, durations are seconds, sizes are bytes.
-- The two databases carry the same tables, columns and names; a test compares them.

CREATE TABLE setting (
    name        TEXT NOT NULL PRIMARY KEY,
    value       JSONB NOT NULL,
    changed_at  BIGINT NOT NULL
);

CREATE TABLE session (
    id          TEXT NOT NULL PRIMARY KEY,
    data        TEXT NOT NULL,
    expires_at  BIGINT NOT NULL
);
CREATE INDEX session_expires ON session (expires_at);

-- One-time sign-in links: only the hash of the token is kept.
CREATE TABLE login_link (
    token_hash  TEXT NOT NULL PRIMARY KEY,
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    used_at     BIGINT
);

-- Append-only and chained: hash = sha256(prev_hash, canonical row). `seq` has no gaps.
CREATE TABLE audit_event (
    seq         BIGINT NOT NULL PRIMARY KEY,
    id          UUID NOT NULL UNIQUE,
    at          BIGINT NOT NULL,
    actor       TEXT NOT NULL,
    origin      TEXT NOT NULL,
    action      TEXT NOT NULL,
    entity      TEXT NOT NULL,
    entity_id   TEXT NOT NULL,
    before      JSONB,
    after       JSONB,
    prev_hash   TEXT NOT NULL,
    hash        TEXT NOT NULL
);
CREATE INDEX audit_event_entity ON audit_event (entity, entity_id, seq);

CREATE TABLE repository (
    id              UUID NOT NULL PRIMARY KEY,
    name            TEXT NOT NULL UNIQUE,
    location        TEXT NOT NULL,
    options         JSONB NOT NULL,
    password        JSONB NOT NULL,
    restic_id       TEXT,
    size_bytes      BIGINT,
    snapshots_read_at BIGINT,
    checked_at      BIGINT,
    check_state     TEXT,
    data_checked_at BIGINT,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    removed_at      BIGINT
);

CREATE TABLE service (
    id              UUID NOT NULL PRIMARY KEY,
    name            TEXT NOT NULL UNIQUE,
    title           TEXT NOT NULL,
    owner           TEXT NOT NULL,
    rpo_s           BIGINT,
    rto_s           BIGINT,
    mtpod_s         BIGINT,
    canary          JSONB,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    removed_at      BIGINT,
    -- Facts kept by runs, so that the lists need no joins over history.
    items           BIGINT NOT NULL DEFAULT 0,
    items_fresh     BIGINT NOT NULL DEFAULT 0,
    last_snapshot_at BIGINT,
    last_run_id     UUID,
    last_run_state  TEXT,
    last_run_at     BIGINT,
    last_test_id    UUID,
    last_test_verdict TEXT,
    last_test_at    BIGINT,
    last_test_rto_s DOUBLE PRECISION,
    last_test_rpo_s BIGINT,
    best_level      TEXT NOT NULL DEFAULT 'none'
);

CREATE TABLE source (
    id              UUID NOT NULL PRIMARY KEY,
    service_id      UUID NOT NULL REFERENCES service (id),
    repository_id   UUID NOT NULL REFERENCES repository (id),
    name            TEXT NOT NULL,
    kind            TEXT NOT NULL,
    config          JSONB NOT NULL,
    position        BIGINT NOT NULL DEFAULT 0,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    removed_at      BIGINT,
    -- The root tree of the newest complete pass: the explicit parent of the next one.
    root_snapshot   TEXT,
    UNIQUE (service_id, name)
);

-- One human across services; known by the item's name until identities are linked.
CREATE TABLE person (
    id              UUID NOT NULL PRIMARY KEY,
    name            TEXT NOT NULL UNIQUE,
    created_at      BIGINT NOT NULL
);

CREATE TABLE item (
    id              UUID NOT NULL PRIMARY KEY,
    source_id       UUID NOT NULL REFERENCES source (id),
    service_id      UUID NOT NULL REFERENCES service (id),
    person_id       UUID REFERENCES person (id),
    name            TEXT NOT NULL,
    first_seen_at   BIGINT NOT NULL,
    last_seen_at    BIGINT NOT NULL,
    gone_at         BIGINT,
    last_snapshot_id UUID,
    last_snapshot_at BIGINT,
    snapshots       BIGINT NOT NULL DEFAULT 0,
    size_bytes      BIGINT NOT NULL DEFAULT 0,
    UNIQUE (source_id, name)
);
CREATE INDEX item_service_name ON item (service_id, name);
CREATE INDEX item_person ON item (person_id, service_id);

CREATE TABLE snapshot (
    id              UUID NOT NULL PRIMARY KEY,
    repository_id   UUID NOT NULL REFERENCES repository (id),
    service_id      UUID REFERENCES service (id),
    source_id       UUID REFERENCES source (id),
    item_id         UUID REFERENCES item (id),
    person_id       UUID REFERENCES person (id),
    run_id          UUID,
    restic_id       TEXT NOT NULL,
    tree            TEXT NOT NULL,
    parent_restic_id TEXT,
    taken_at        BIGINT NOT NULL,
    host            TEXT NOT NULL,
    label           TEXT NOT NULL,
    paths           JSONB NOT NULL,
    tags            JSONB NOT NULL,
    -- complete | partial | adopted
    state           TEXT NOT NULL,
    files           BIGINT NOT NULL,
    dirs            BIGINT NOT NULL,
    bytes           BIGINT NOT NULL,
    bytes_added     BIGINT NOT NULL,
    files_added     BIGINT NOT NULL,
    files_changed   BIGINT NOT NULL,
    files_removed   BIGINT NOT NULL,
    errors          BIGINT NOT NULL,
    -- evidence level this snapshot has reached: exists | readable | restored | asserted | started
    level           TEXT NOT NULL DEFAULT 'exists',
    verified_at     BIGINT,
    gone_at         BIGINT,
    UNIQUE (repository_id, restic_id)
);
CREATE INDEX snapshot_taken ON snapshot (taken_at, id);
CREATE INDEX snapshot_service_taken ON snapshot (service_id, taken_at, id);
CREATE INDEX snapshot_item_taken ON snapshot (item_id, taken_at, id);
CREATE INDEX snapshot_person_taken ON snapshot (person_id, taken_at, id);
CREATE INDEX snapshot_run ON snapshot (run_id);

-- A run and its place in the queue.
CREATE TABLE run (
    id              UUID NOT NULL PRIMARY KEY,
    kind            TEXT NOT NULL,
    -- queued | running | succeeded | partial | failed | cancelled | interrupted
    state           TEXT NOT NULL,
    service_id      UUID REFERENCES service (id),
    source_id       UUID REFERENCES source (id),
    repository_id   UUID REFERENCES repository (id),
    title           TEXT NOT NULL,
    -- what was asked for, as given and after defaults; never a secret
    params          JSONB NOT NULL,
    result          JSONB,
    failure         JSONB,
    actor           TEXT NOT NULL,
    retry_of        UUID,
    queued_at       BIGINT NOT NULL,
    started_at      BIGINT,
    finished_at     BIGINT,
    -- the newest progress: items, bytes, rate, current item
    progress        JSONB,
    event_seq       BIGINT NOT NULL DEFAULT 0,
    -- the queue
    run_at          BIGINT NOT NULL,
    priority        BIGINT NOT NULL DEFAULT 0,
    attempts        BIGINT NOT NULL DEFAULT 0,
    max_attempts    BIGINT NOT NULL DEFAULT 3,
    lease_owner     TEXT,
    lease_token     UUID,
    lease_until     BIGINT,
    cancel_requested_at BIGINT,
    cancel_reason   TEXT,
    resource_key    TEXT,
    unique_key      TEXT
);
CREATE INDEX run_queue ON run (state, run_at, priority);
CREATE INDEX run_queued ON run (queued_at, id);
CREATE INDEX run_service_queued ON run (service_id, queued_at, id);
CREATE UNIQUE INDEX run_unique_live ON run (unique_key) WHERE state IN ('queued', 'running');
CREATE UNIQUE INDEX run_resource_live ON run (resource_key) WHERE state = 'running';

CREATE TABLE step (
    run_id          UUID NOT NULL REFERENCES run (id),
    ordinal         BIGINT NOT NULL,
    name            TEXT NOT NULL,
    -- pending | running | succeeded | tolerated | failed | skipped | cancelled | interrupted
    state           TEXT NOT NULL,
    attempt         BIGINT NOT NULL DEFAULT 0,
    started_at      BIGINT,
    finished_at     BIGINT,
    input           JSONB,
    output          JSONB,
    failure         JSONB,
    PRIMARY KEY (run_id, ordinal)
);

CREATE TABLE run_item (
    run_id          UUID NOT NULL REFERENCES run (id),
    name            TEXT NOT NULL,
    item_id         UUID,
    -- ok | partial | failed | skipped
    state           TEXT NOT NULL,
    snapshot_id     UUID,
    files           BIGINT NOT NULL,
    bytes           BIGINT NOT NULL,
    bytes_added     BIGINT NOT NULL,
    problems        JSONB NOT NULL,
    finished_at     BIGINT NOT NULL,
    PRIMARY KEY (run_id, name)
);
CREATE INDEX run_item_state ON run_item (run_id, state, name);

-- What happened in a run, in order: log lines, step changes, item results. The stream of the page resumes after a `seq`.
CREATE TABLE run_event (
    run_id          UUID NOT NULL REFERENCES run (id),
    seq             BIGINT NOT NULL,
    at              BIGINT NOT NULL,
    -- log | step | item | state
    kind            TEXT NOT NULL,
    level           TEXT NOT NULL,
    message         TEXT NOT NULL,
    detail          JSONB,
    PRIMARY KEY (run_id, seq)
);

-- One row a restore test, written by its run only.
CREATE TABLE restore_test (
    id              UUID NOT NULL PRIMARY KEY,
    run_id          UUID NOT NULL UNIQUE REFERENCES run (id),
    service_id      UUID NOT NULL REFERENCES service (id),
    selection       TEXT NOT NULL,
    started_at      BIGINT NOT NULL,
    finished_at     BIGINT NOT NULL,
    -- passed | failed | unknown (could not check)
    verdict         TEXT NOT NULL,
    level           TEXT NOT NULL,
    rto_s           DOUBLE PRECISION,
    rto_target_s    BIGINT,
    rpo_s           BIGINT,
    rpo_target_s    BIGINT,
    items_restored  BIGINT NOT NULL,
    items_skipped   BIGINT NOT NULL,
    items_failed    BIGINT NOT NULL,
    files           BIGINT NOT NULL,
    bytes           BIGINT NOT NULL,
    checks          JSONB NOT NULL,
    teardown        JSONB NOT NULL,
    snapshots       JSONB NOT NULL
);
CREATE INDEX restore_test_service_started ON restore_test (service_id, started_at);
CREATE INDEX restore_test_started ON restore_test (started_at);

-- Names of files by item, filled from what changed between two snapshots.
-- A row is one version of one path: seen first in `since`, gone or replaced with `until`.
CREATE TABLE file_version (
    item_id         UUID NOT NULL REFERENCES item (id),
    path            TEXT NOT NULL,
    since_at        BIGINT NOT NULL,
    since           UUID NOT NULL,
    until_at        BIGINT,
    until           UUID,
    name            TEXT NOT NULL,
    node            TEXT NOT NULL,
    size_bytes      BIGINT NOT NULL,
    modified_at     BIGINT,
    PRIMARY KEY (item_id, path, since_at)
);
CREATE INDEX file_version_name ON file_version (item_id, name, path);
