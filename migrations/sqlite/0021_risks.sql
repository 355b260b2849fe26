-- Risks of services, their history, and the scales that they are rated by (R39, R40).
-- Versions of a scale; none is ever changed. The one that is built in, 2021 version 1, has no row.
CREATE TABLE risk_scale (
    name            TEXT NOT NULL,
    version         INTEGER NOT NULL,
    scale           TEXT NOT NULL,
    made_by         TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    PRIMARY KEY (name, version)
);

CREATE TABLE risk (
    id              BLOB NOT NULL PRIMARY KEY,
    service_id      BLOB NOT NULL REFERENCES service (id),
    -- Counted within the service; never given twice.
    number          INTEGER NOT NULL,
    -- What is said of it, with the version of the scale that it was rated by.
    content         TEXT NOT NULL,
    -- Whether it came from an older plan, which may lack what is asked for today.
    imported        BOOLEAN NOT NULL,
    -- One higher with each change, so that two who change it at once are told apart.
    revision        INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    retired_at      INTEGER,
    retired_by      TEXT,
    retire_reason   TEXT,
    UNIQUE (service_id, number)
);

-- The history: one row for each change, with all that was said after it.
CREATE TABLE risk_revision (
    risk_id         BLOB NOT NULL REFERENCES risk (id),
    revision        INTEGER NOT NULL,
    at              INTEGER NOT NULL,
    actor           TEXT NOT NULL,
    -- created | imported | changed | retired
    action          TEXT NOT NULL,
    reason          TEXT,
    content         TEXT NOT NULL,
    PRIMARY KEY (risk_id, revision)
);
