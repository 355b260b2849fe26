-- When services are reviewed (R44). Dates are civil dates, such as 2027-03-31.

-- How often; without a row it is twelve months.
CREATE TABLE review_interval (
    service_id  UUID NOT NULL REFERENCES service (id),
    -- risk_assessment | plan_and_test
    kind        TEXT NOT NULL,
    months      BIGINT NOT NULL,
    changed_at  BIGINT NOT NULL,
    changed_by  TEXT NOT NULL,
    PRIMARY KEY (service_id, kind)
);

-- Reviews that were done. A row is never changed.
CREATE TABLE review (
    id          UUID NOT NULL PRIMARY KEY,
    service_id  UUID NOT NULL REFERENCES service (id),
    kind        TEXT NOT NULL,
    done_on     TEXT NOT NULL,
    -- who did it, as people call them; who recorded it
    done_by     TEXT NOT NULL,
    outcome     TEXT NOT NULL,
    actor       TEXT NOT NULL,
    recorded_at BIGINT NOT NULL
);
CREATE INDEX review_service ON review (service_id, kind, done_on, id);

-- Reviews that need not be done, up to and including a day.
CREATE TABLE review_exemption (
    id          UUID NOT NULL PRIMARY KEY,
    service_id  UUID NOT NULL REFERENCES service (id),
    kind        TEXT NOT NULL,
    reason      TEXT NOT NULL,
    until_on    TEXT NOT NULL,
    actor       TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    -- ended before its day
    ended_at    BIGINT,
    ended_by    TEXT
);
CREATE UNIQUE INDEX review_exemption_live ON review_exemption (service_id, kind) WHERE ended_at IS NULL;
CREATE INDEX review_exemption_service ON review_exemption (service_id, created_at);

-- Secret addresses at which calendar programs read what is due: only the hash of each is kept.
CREATE TABLE calendar_feed (
    id              UUID NOT NULL PRIMARY KEY,
    name            TEXT NOT NULL,
    -- Who made it, and what they see is what it shows.
    actor           TEXT NOT NULL,
    role            TEXT NOT NULL,
    -- SHA-256 in hexadecimal.
    hash            TEXT NOT NULL UNIQUE,
    created_at      BIGINT NOT NULL,
    expires_at      BIGINT NOT NULL,
    last_used_at    BIGINT,
    last_used_from  TEXT,
    revoked_at      BIGINT,
    revoked_by      TEXT
);
CREATE INDEX calendar_feed_actor ON calendar_feed (actor, created_at);

-- Who completed restores and restore tests of a service in the last year (R45).
CREATE INDEX run_service_kind_finished ON run (service_id, kind, finished_at);
