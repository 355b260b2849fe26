-- Continuity plans in versions (R38, R42), who signed them, and what happened to each version.
CREATE TABLE plan_version (
    id              BLOB NOT NULL PRIMARY KEY,
    service_id      BLOB NOT NULL REFERENCES service (id),
    -- Counts up within a service and never comes back.
    number          INTEGER NOT NULL,
    -- draft | in_review | approved | superseded | discarded
    state           TEXT NOT NULL,
    -- Goes up with each change of the content.
    revision        INTEGER NOT NULL,
    content         TEXT NOT NULL,
    -- SHA-256 of the content, set when it is submitted and gone when it is a draft again.
    content_sha256  TEXT,
    -- What was measured and kept elsewhere, as it stood when the version was submitted.
    annex           TEXT,
    -- Who has to sign, set when it is submitted.
    roles           TEXT NOT NULL,
    -- The approved version that it began as, by number.
    based_on        INTEGER,
    created_by      TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_by      TEXT NOT NULL,
    updated_at      INTEGER NOT NULL,
    submitted_at    INTEGER,
    approved_at     INTEGER,
    -- When it was superseded or discarded.
    ended_at        INTEGER,
    UNIQUE (service_id, number)
);
CREATE UNIQUE INDEX plan_version_open ON plan_version (service_id) WHERE state IN ('draft', 'in_review');
CREATE UNIQUE INDEX plan_version_approved ON plan_version (service_id) WHERE state = 'approved';

CREATE TABLE plan_signature (
    id              BLOB NOT NULL PRIMARY KEY,
    version_id      BLOB NOT NULL REFERENCES plan_version (id),
    role            TEXT NOT NULL,
    -- The account that signed.
    signer          TEXT NOT NULL,
    content_sha256  TEXT NOT NULL,
    signed_at       INTEGER NOT NULL,
    -- When the version was a draft again; it counts no more.
    fallen_at       INTEGER
);
CREATE UNIQUE INDEX plan_signature_role ON plan_signature (version_id, role) WHERE fallen_at IS NULL;
CREATE UNIQUE INDEX plan_signature_signer ON plan_signature (version_id, signer) WHERE fallen_at IS NULL;

-- One row a step of a version's life: the revision history.
CREATE TABLE plan_event (
    id              BLOB NOT NULL PRIMARY KEY,
    version_id      BLOB NOT NULL REFERENCES plan_version (id),
    at              INTEGER NOT NULL,
    actor           TEXT NOT NULL,
    -- started | submitted | signed | approved | returned | discarded | superseded
    kind            TEXT NOT NULL,
    -- What changed, the reason, or the role that signed.
    note            TEXT NOT NULL
);
CREATE INDEX plan_event_version ON plan_event (version_id, at, id);
