-- Availability and reliability of services, and where ARGO's figures come from (R43).

-- One row a period and origin: what ARGO says and what a person entered are both kept.
CREATE TABLE availability (
    service_id      UUID NOT NULL REFERENCES service (id),
    -- 2020-02 for a month, 2020-02-14 for a day
    period          TEXT NOT NULL,
    -- hand | argo
    origin          TEXT NOT NULL,
    -- percent; empty where nothing is known
    availability    DOUBLE PRECISION,
    reliability     DOUBLE PRECISION,
    -- fractions of the period, where the origin tells them
    up              DOUBLE PRECISION,
    unknown         DOUBLE PRECISION,
    down            DOUBLE PRECISION,
    -- who entered it, or where it was fetched
    recorded_by     TEXT NOT NULL,
    recorded_at     BIGINT NOT NULL,
    -- when somebody chose to show this one
    chosen_at       BIGINT,
    chosen_by       TEXT,
    PRIMARY KEY (service_id, period, origin)
);

-- Why a month is as it is.
CREATE TABLE availability_note (
    service_id      UUID NOT NULL REFERENCES service (id),
    month           TEXT NOT NULL,
    text            TEXT NOT NULL,
    noted_by        TEXT NOT NULL,
    noted_at        BIGINT NOT NULL,
    PRIMARY KEY (service_id, month)
);

-- ARGO's API for a service. The key is a reference to a file or a variable, or sealed with the server's key.
CREATE TABLE argo_source (
    service_id      UUID NOT NULL PRIMARY KEY REFERENCES service (id),
    settings        JSONB NOT NULL,
    key             JSONB NOT NULL,
    next_at         BIGINT NOT NULL,
    tried_at        BIGINT,
    -- when figures were last fetched whole
    fetched_at      BIGINT,
    -- since when every try has failed, and how many did
    failing_since   BIGINT,
    failures        BIGINT NOT NULL DEFAULT 0,
    failed          JSONB,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL
);
CREATE INDEX argo_source_next ON argo_source (next_at);
