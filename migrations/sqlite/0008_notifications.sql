-- What is wrong now, who is told, and how telling them went.

-- One live row a condition: it opens, changes and resolves. `facts` holds the figures, `text` the words at the last change.
CREATE TABLE alert (
    id              BLOB NOT NULL PRIMARY KEY,
    -- slot:entity:id, such as copies:service:0199…
    condition       TEXT NOT NULL,
    kind            TEXT NOT NULL,
    -- info | warning | critical
    severity        TEXT NOT NULL,
    -- service | source | repository | schedule | hold | channel
    entity          TEXT NOT NULL,
    entity_id       BLOB NOT NULL,
    -- its short name, and as people read it
    name            TEXT NOT NULL,
    title           TEXT NOT NULL,
    service_id      BLOB REFERENCES service (id),
    run_id          BLOB,
    test_id         BLOB,
    facts           TEXT NOT NULL,
    text            TEXT NOT NULL,
    opened_at       INTEGER NOT NULL,
    changed_at      INTEGER NOT NULL,
    resolved_at     INTEGER,
    acknowledged_at INTEGER,
    acknowledged_by TEXT,
    note            TEXT
);
CREATE UNIQUE INDEX alert_live ON alert (condition) WHERE resolved_at IS NULL;
CREATE INDEX alert_opened ON alert (opened_at, id);
CREATE INDEX alert_service_opened ON alert (service_id, opened_at, id);

-- Where messages go. Each secret is a reference to a file or a variable, or sealed with the server's key.
CREATE TABLE channel (
    id              BLOB NOT NULL PRIMARY KEY,
    name            TEXT NOT NULL UNIQUE,
    -- mail | webhook | slack | teams | pagerduty
    kind            TEXT NOT NULL,
    options         TEXT NOT NULL,
    secrets         TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    removed_at      INTEGER
);

-- Who is told of what.
CREATE TABLE notification_rule (
    id              BLOB NOT NULL PRIMARY KEY,
    name            TEXT NOT NULL UNIQUE,
    -- names of channels
    channels        TEXT NOT NULL,
    what            TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL
);

-- The queue of messages. `id` travels with the message, so that a second arrival can be told from a second message.
CREATE TABLE delivery (
    id              BLOB NOT NULL PRIMARY KEY,
    channel_id      BLOB NOT NULL REFERENCES channel (id),
    -- the address of a mail; empty where the channel has one receiver
    recipient       TEXT NOT NULL,
    -- opened | worsened | reminder | resolved | success | test
    event           TEXT NOT NULL,
    alert_id        BLOB REFERENCES alert (id),
    run_id          BLOB,
    dedup_key       TEXT NOT NULL UNIQUE,
    message         TEXT NOT NULL,
    -- queued | sending | sent | failed
    state           TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    next_at         INTEGER NOT NULL,
    attempts        INTEGER NOT NULL DEFAULT 0,
    answer          TEXT,
    finished_at     INTEGER,
    lease_owner     TEXT,
    lease_token     BLOB,
    lease_until     INTEGER
);
CREATE INDEX delivery_queue ON delivery (state, next_at);
CREATE INDEX delivery_created ON delivery (created_at, id);
CREATE INDEX delivery_channel ON delivery (channel_id, created_at, id);
CREATE INDEX delivery_alert ON delivery (alert_id, channel_id, recipient);

-- What was tried and what the other side said, masked. An attempt without an end was cut short.
CREATE TABLE delivery_attempt (
    delivery_id     BLOB NOT NULL REFERENCES delivery (id),
    attempt         INTEGER NOT NULL,
    started_at      INTEGER NOT NULL,
    finished_at     INTEGER,
    -- sent | deferred | refused
    outcome         TEXT,
    answer          TEXT,
    PRIMARY KEY (delivery_id, attempt)
);

-- Addresses that are called while all is well, so that silence is noticed elsewhere.
CREATE TABLE heartbeat (
    id              BLOB NOT NULL PRIMARY KEY,
    name            TEXT NOT NULL UNIQUE,
    url             TEXT NOT NULL,
    -- the part of the address that may be shown
    shown           TEXT NOT NULL,
    every_s         INTEGER NOT NULL,
    next_at         INTEGER NOT NULL,
    sent_at         INTEGER,
    failed_at       INTEGER,
    answer          TEXT,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL
);

-- The newest backup of each source, and the runs that have ended since.
CREATE INDEX run_source_kind ON run (source_id, kind, queued_at, id);
CREATE INDEX run_repository_queued ON run (repository_id, queued_at, id);
CREATE INDEX run_finished ON run (finished_at, id);
