-- Access tokens of programs (R51): only the hash of each is kept.
CREATE TABLE token (
    id              UUID NOT NULL PRIMARY KEY,
    name            TEXT NOT NULL,
    -- Who made it, and for whom it speaks.
    actor           TEXT NOT NULL,
    role            TEXT NOT NULL,
    -- What it may do at most, as a list of actions.
    scopes          JSONB NOT NULL,
    -- SHA-256 in hexadecimal.
    hash            TEXT NOT NULL UNIQUE,
    created_at      BIGINT NOT NULL,
    expires_at      BIGINT NOT NULL,
    last_used_at    BIGINT,
    last_used_from  TEXT,
    revoked_at      BIGINT,
    revoked_by      TEXT
);
CREATE INDEX token_actor ON token (actor, created_at);
