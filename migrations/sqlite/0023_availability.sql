-- Availability and reliability of services, and where ARGO's figures come from (R43).

-- One row a period and origin: what ARGO says and what a person entered are both kept.
CREATE TABLE availability (
    service_id      BLOB NOT NULL REFERENCES service (id),
    -- 2020-02 for a month, 2020-02-14 for a day
    period          TEXT NOT NULL,
    -- hand | argo
    origin          TEXT NOT NULL,
    -- percent; empty where nothing is known
    availability    REAL,
    reliability     REAL,
    -- fractions of the period, where the origin tells them
    up              REAL,
    unknown         REAL,
    down            REAL,
    -- who entered it, or where it was fetched
    recorded_by     TEXT NOT NULL,
    recorded_at     INTEGER NOT NULL,
    -- when somebody chose to show this one
    chosen_at       INTEGER,
    chosen_by       TEXT,
    PRIMARY KEY (service_id, period, origin)
);

-- Why a month is as it is.
CREATE TABLE availability_note (
    service_id      BLOB NOT NULL REFERENCES service (id),
    month           TEXT NOT NULL,
    text            TEXT NOT NULL,
    noted_by        TEXT NOT NULL,
    noted_at        INTEGER NOT NULL,
    PRIMARY KEY (service_id, month)
);

-- ARGO's API for a service. The key is a reference to a file or a variable, or sealed with the server's key.
CREATE TABLE argo_source (
    service_id      BLOB NOT NULL PRIMARY KEY REFERENCES service (id),
    settings        TEXT NOT NULL,
    key             TEXT NOT NULL,
    next_at         INTEGER NOT NULL,
    tried_at        INTEGER,
    -- when figures were last fetched whole
    fetched_at      INTEGER,
    -- since when every try has failed, and how many did
    failing_since   INTEGER,
    failures        INTEGER NOT NULL DEFAULT 0,
    failed          TEXT,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL
);
CREATE INDEX argo_source_next ON argo_source (next_at);
