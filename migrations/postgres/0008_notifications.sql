-- What is wrong now, who is told, and how telling them went.

-- One live row a condition: it opens, changes and resolves. `facts` holds the figures, `text` the words at the last change.
CREATE TABLE alert (
    id              UUID NOT NULL PRIMARY KEY,
    -- slot:entity:id, such as copies:service:0199…
    condition       TEXT NOT NULL,
    kind            TEXT NOT NULL,
    -- info | warning | critical
    severity        TEXT NOT NULL,
    -- service | source | repository | schedule | hold | channel
    entity          TEXT NOT NULL,
    entity_id       UUID NOT NULL,
    -- its short name, and as people read it
    name            TEXT NOT NULL,
    title           TEXT NOT NULL,
    service_id      UUID REFERENCES service (id),
    run_id          UUID,
    test_id         UUID,
    facts           JSONB NOT NULL,
    text            TEXT NOT NULL,
    opened_at       BIGINT NOT NULL,
    changed_at      BIGINT NOT NULL,
    resolved_at     BIGINT,
    acknowledged_at BIGINT,
    acknowledged_by TEXT,
    note            TEXT
);
CREATE UNIQUE INDEX alert_live ON alert (condition) WHERE resolved_at IS NULL;
CREATE INDEX alert_opened ON alert (opened_at, id);
CREATE INDEX alert_service_opened ON alert (service_id, opened_at, id);

-- Where messages go. Each secret is a reference to a file or a variable, or sealed with the server's key.
CREATE TABLE channel (
    id              UUID NOT NULL PRIMARY KEY,
    name            TEXT NOT NULL UNIQUE,
    -- mail | webhook | slack | teams | pagerduty
    kind            TEXT NOT NULL,
    options         JSONB NOT NULL,
    secrets         JSONB NOT NULL,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    removed_at      BIGINT
);

-- Who is told of what.
CREATE TABLE notification_rule (
    id              UUID NOT NULL PRIMARY KEY,
    name            TEXT NOT NULL UNIQUE,
    -- names of channels
    channels        JSONB NOT NULL,
    what            JSONB NOT NULL,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL
);

-- The queue of messages. `id` travels with the message, so that a second arrival can be told from a second message.
CREATE TABLE delivery (
    id              UUID NOT NULL PRIMARY KEY,
    channel_id      UUID NOT NULL REFERENCES channel (id),
    -- the address of a mail; empty where the channel has one receiver
    recipient       TEXT NOT NULL,
    -- opened | worsened | reminder | resolved | success | test
    event           TEXT NOT NULL,
    alert_id        UUID REFERENCES alert (id),
    run_id          UUID,
    dedup_key       TEXT NOT NULL UNIQUE,
    message         JSONB NOT NULL,
    -- queued | sending | sent | failed
    state           TEXT NOT NULL,
    created_at      BIGINT NOT NULL,
    next_at         BIGINT NOT NULL,
    attempts        BIGINT NOT NULL DEFAULT 0,
    answer          TEXT,
    finished_at     BIGINT,
    lease_owner     TEXT,
    lease_token     UUID,
    lease_until     BIGINT
);
CREATE INDEX delivery_queue ON delivery (state, next_at);
CREATE INDEX delivery_created ON delivery (created_at, id);
CREATE INDEX delivery_channel ON delivery (channel_id, created_at, id);
CREATE INDEX delivery_alert ON delivery (alert_id, channel_id, recipient);

-- What was tried and what the other side said, masked. An attempt without an end was cut short.
CREATE TABLE delivery_attempt (
    delivery_id     UUID NOT NULL REFERENCES delivery (id),
    attempt         BIGINT NOT NULL,
    started_at      BIGINT NOT NULL,
    finished_at     BIGINT,
    -- sent | deferred | refused
    outcome         TEXT,
    answer          TEXT,
    PRIMARY KEY (delivery_id, attempt)
);

-- Addresses that are called while all is well, so that silence is noticed elsewhere.
CREATE TABLE heartbeat (
    id              UUID NOT NULL PRIMARY KEY,
    name            TEXT NOT NULL UNIQUE,
    url             JSONB NOT NULL,
    -- the part of the address that may be shown
    shown           TEXT NOT NULL,
    every_s         BIGINT NOT NULL,
    next_at         BIGINT NOT NULL,
    sent_at         BIGINT,
    failed_at       BIGINT,
    answer          TEXT,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL
);

-- The newest backup of each source, and the runs that have ended since.
CREATE INDEX run_source_kind ON run (source_id, kind, queued_at, id);
CREATE INDEX run_repository_queued ON run (repository_id, queued_at, id);
CREATE INDEX run_finished ON run (finished_at, id);
