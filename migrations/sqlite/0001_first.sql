-- The first schema of Holdfast. Times are microseconds since 1970 UTC, durations are seconds, sizes are bytes.
-- The two databases carry the same tables, columns and names; a test compares them.

CREATE TABLE setting (
    name        TEXT NOT NULL PRIMARY KEY,
    value       TEXT NOT NULL,
    changed_at  INTEGER NOT NULL
);

CREATE TABLE session (
    id          TEXT NOT NULL PRIMARY KEY,
    data        TEXT NOT NULL,
    expires_at  INTEGER NOT NULL
);
CREATE INDEX session_expires ON session (expires_at);

-- One-time sign-in links: only the hash of the token is kept.
CREATE TABLE login_link (
    token_hash  TEXT NOT NULL PRIMARY KEY,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    used_at     INTEGER
);

-- Append-only and chained: hash = sha256(prev_hash, canonical row). `seq` has no gaps.
CREATE TABLE audit_event (
    seq         INTEGER NOT NULL PRIMARY KEY,
    id          BLOB NOT NULL UNIQUE,
    at          INTEGER NOT NULL,
    actor       TEXT NOT NULL,
    origin      TEXT NOT NULL,
    action      TEXT NOT NULL,
    entity      TEXT NOT NULL,
    entity_id   TEXT NOT NULL,
    before      TEXT,
    after       TEXT,
    prev_hash   TEXT NOT NULL,
    hash        TEXT NOT NULL
);
CREATE INDEX audit_event_entity ON audit_event (entity, entity_id, seq);

CREATE TABLE repository (
    id              BLOB NOT NULL PRIMARY KEY,
    name            TEXT NOT NULL UNIQUE,
    location        TEXT NOT NULL,
    options         TEXT NOT NULL,
    password        TEXT NOT NULL,
    restic_id       TEXT,
    size_bytes      INTEGER,
    snapshots_read_at INTEGER,
    checked_at      INTEGER,
    check_state     TEXT,
    data_checked_at INTEGER,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    removed_at      INTEGER
);

CREATE TABLE service (
    id              BLOB NOT NULL PRIMARY KEY,
    name            TEXT NOT NULL UNIQUE,
    title           TEXT NOT NULL,
    owner           TEXT NOT NULL,
    rpo_s           INTEGER,
    rto_s           INTEGER,
    mtpod_s         INTEGER,
    canary          TEXT,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    removed_at      INTEGER,
    -- Facts kept by runs, so that the lists need no joins over history.
    items           INTEGER NOT NULL DEFAULT 0,
    items_fresh     INTEGER NOT NULL DEFAULT 0,
    last_snapshot_at INTEGER,
    last_run_id     BLOB,
    last_run_state  TEXT,
    last_run_at     INTEGER,
    last_test_id    BLOB,
    last_test_verdict TEXT,
    last_test_at    INTEGER,
    last_test_rto_s REAL,
    last_test_rpo_s INTEGER,
    best_level      TEXT NOT NULL DEFAULT 'none'
);

CREATE TABLE source (
    id              BLOB NOT NULL PRIMARY KEY,
    service_id      BLOB NOT NULL REFERENCES service (id),
    repository_id   BLOB NOT NULL REFERENCES repository (id),
    name            TEXT NOT NULL,
    kind            TEXT NOT NULL,
    config          TEXT NOT NULL,
    position        INTEGER NOT NULL DEFAULT 0,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    removed_at      INTEGER,
    -- The root tree of the newest complete pass: the explicit parent of the next one.
    root_snapshot   TEXT,
    UNIQUE (service_id, name)
);

-- One human across services; known by the item's name until identities are linked.
CREATE TABLE person (
    id              BLOB NOT NULL PRIMARY KEY,
    name            TEXT NOT NULL UNIQUE,
    created_at      INTEGER NOT NULL
);

CREATE TABLE item (
    id              BLOB NOT NULL PRIMARY KEY,
    source_id       BLOB NOT NULL REFERENCES source (id),
    service_id      BLOB NOT NULL REFERENCES service (id),
    person_id       BLOB REFERENCES person (id),
    name            TEXT NOT NULL,
    first_seen_at   INTEGER NOT NULL,
    last_seen_at    INTEGER NOT NULL,
    gone_at         INTEGER,
    last_snapshot_id BLOB,
    last_snapshot_at INTEGER,
    snapshots       INTEGER NOT NULL DEFAULT 0,
    size_bytes      INTEGER NOT NULL DEFAULT 0,
    UNIQUE (source_id, name)
);
CREATE INDEX item_service_name ON item (service_id, name);
CREATE INDEX item_person ON item (person_id, service_id);

CREATE TABLE snapshot (
    id              BLOB NOT NULL PRIMARY KEY,
    repository_id   BLOB NOT NULL REFERENCES repository (id),
    service_id      BLOB REFERENCES service (id),
    source_id       BLOB REFERENCES source (id),
    item_id         BLOB REFERENCES item (id),
    person_id       BLOB REFERENCES person (id),
    run_id          BLOB,
    restic_id       TEXT NOT NULL,
    tree            TEXT NOT NULL,
    parent_restic_id TEXT,
    taken_at        INTEGER NOT NULL,
    host            TEXT NOT NULL,
    label           TEXT NOT NULL,
    paths           TEXT NOT NULL,
    tags            TEXT NOT NULL,
    -- complete | partial | adopted
    state           TEXT NOT NULL,
    files           INTEGER NOT NULL,
    dirs            INTEGER NOT NULL,
    bytes           INTEGER NOT NULL,
    bytes_added     INTEGER NOT NULL,
    files_added     INTEGER NOT NULL,
    files_changed   INTEGER NOT NULL,
    files_removed   INTEGER NOT NULL,
    errors          INTEGER NOT NULL,
    -- evidence level this snapshot has reached: exists | readable | restored | asserted | started
    level           TEXT NOT NULL DEFAULT 'exists',
    verified_at     INTEGER,
    gone_at         INTEGER,
    UNIQUE (repository_id, restic_id)
);
CREATE INDEX snapshot_taken ON snapshot (taken_at, id);
CREATE INDEX snapshot_service_taken ON snapshot (service_id, taken_at, id);
CREATE INDEX snapshot_item_taken ON snapshot (item_id, taken_at, id);
CREATE INDEX snapshot_person_taken ON snapshot (person_id, taken_at, id);
CREATE INDEX snapshot_run ON snapshot (run_id);

-- A run and its place in the queue.
CREATE TABLE run (
    id              BLOB NOT NULL PRIMARY KEY,
    kind            TEXT NOT NULL,
    -- queued | running | succeeded | partial | failed | cancelled | interrupted
    state           TEXT NOT NULL,
    service_id      BLOB REFERENCES service (id),
    source_id       BLOB REFERENCES source (id),
    repository_id   BLOB REFERENCES repository (id),
    title           TEXT NOT NULL,
    -- what was asked for, as given and after defaults; never a secret
    params          TEXT NOT NULL,
    result          TEXT,
    failure         TEXT,
    actor           TEXT NOT NULL,
    retry_of        BLOB,
    queued_at       INTEGER NOT NULL,
    started_at      INTEGER,
    finished_at     INTEGER,
    -- the newest progress: items, bytes, rate, current item
    progress        TEXT,
    event_seq       INTEGER NOT NULL DEFAULT 0,
    -- the queue
    run_at          INTEGER NOT NULL,
    priority        INTEGER NOT NULL DEFAULT 0,
    attempts        INTEGER NOT NULL DEFAULT 0,
    max_attempts    INTEGER NOT NULL DEFAULT 3,
    lease_owner     TEXT,
    lease_token     BLOB,
    lease_until     INTEGER,
    cancel_requested_at INTEGER,
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
    run_id          BLOB NOT NULL REFERENCES run (id),
    ordinal         INTEGER NOT NULL,
    name            TEXT NOT NULL,
    -- pending | running | succeeded | tolerated | failed | skipped | cancelled | interrupted
    state           TEXT NOT NULL,
    attempt         INTEGER NOT NULL DEFAULT 0,
    started_at      INTEGER,
    finished_at     INTEGER,
    input           TEXT,
    output          TEXT,
    failure         TEXT,
    PRIMARY KEY (run_id, ordinal)
);

CREATE TABLE run_item (
    run_id          BLOB NOT NULL REFERENCES run (id),
    name            TEXT NOT NULL,
    item_id         BLOB,
    -- ok | partial | failed | skipped
    state           TEXT NOT NULL,
    snapshot_id     BLOB,
    files           INTEGER NOT NULL,
    bytes           INTEGER NOT NULL,
    bytes_added     INTEGER NOT NULL,
    problems        TEXT NOT NULL,
    finished_at     INTEGER NOT NULL,
    PRIMARY KEY (run_id, name)
);
CREATE INDEX run_item_state ON run_item (run_id, state, name);

-- What happened in a run, in order: log lines, step changes, item results. The stream of the page resumes after a `seq`.
CREATE TABLE run_event (
    run_id          BLOB NOT NULL REFERENCES run (id),
    seq             INTEGER NOT NULL,
    at              INTEGER NOT NULL,
    -- log | step | item | state
    kind            TEXT NOT NULL,
    level           TEXT NOT NULL,
    message         TEXT NOT NULL,
    detail          TEXT,
    PRIMARY KEY (run_id, seq)
);

-- One row a restore test, written by its run only.
CREATE TABLE restore_test (
    id              BLOB NOT NULL PRIMARY KEY,
    run_id          BLOB NOT NULL UNIQUE REFERENCES run (id),
    service_id      BLOB NOT NULL REFERENCES service (id),
    selection       TEXT NOT NULL,
    started_at      INTEGER NOT NULL,
    finished_at     INTEGER NOT NULL,
    -- passed | failed | unknown (could not check)
    verdict         TEXT NOT NULL,
    level           TEXT NOT NULL,
    rto_s           REAL,
    rto_target_s    INTEGER,
    rpo_s           INTEGER,
    rpo_target_s    INTEGER,
    items_restored  INTEGER NOT NULL,
    items_skipped   INTEGER NOT NULL,
    items_failed    INTEGER NOT NULL,
    files           INTEGER NOT NULL,
    bytes           INTEGER NOT NULL,
    checks          TEXT NOT NULL,
    teardown        TEXT NOT NULL,
    snapshots       TEXT NOT NULL
);
CREATE INDEX restore_test_service_started ON restore_test (service_id, started_at);
CREATE INDEX restore_test_started ON restore_test (started_at);

-- Names of files by item, filled from what changed between two snapshots.
-- A row is one version of one path: seen first in `since`, gone or replaced with `until`.
CREATE TABLE file_version (
    item_id         BLOB NOT NULL REFERENCES item (id),
    path            TEXT NOT NULL,
    since_at        INTEGER NOT NULL,
    since           BLOB NOT NULL,
    until_at        INTEGER,
    until           BLOB,
    name            TEXT NOT NULL,
    node            TEXT NOT NULL,
    size_bytes      INTEGER NOT NULL,
    modified_at     INTEGER,
    PRIMARY KEY (item_id, path, since_at)
);
CREATE INDEX file_version_name ON file_version (item_id, name, path);
