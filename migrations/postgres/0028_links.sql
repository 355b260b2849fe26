-- Read-only links to evidence for guests, such as auditors of another organisation: only the hash of each is kept.
CREATE TABLE guest_link (
    id              UUID NOT NULL PRIMARY KEY,
    label           TEXT NOT NULL,
    -- Who made it; what they may no longer show it shows no longer.
    actor           TEXT NOT NULL,
    role            TEXT NOT NULL,
    -- a list of ids; all services where it is absent
    services        JSONB,
    -- evidence of these days, civil dates such as 2027-03-31, both included
    from_on         TEXT NOT NULL,
    to_on           TEXT NOT NULL,
    -- SHA-256 in hexadecimal.
    hash            TEXT NOT NULL UNIQUE,
    created_at      BIGINT NOT NULL,
    expires_at      BIGINT NOT NULL,
    uses            BIGINT NOT NULL DEFAULT 0,
    last_used_at    BIGINT,
    last_used_from  TEXT,
    revoked_at      BIGINT,
    revoked_by      TEXT
);
CREATE INDEX guest_link_actor ON guest_link (actor, created_at);
