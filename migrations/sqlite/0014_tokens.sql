-- Access tokens of programs (R51): only the hash of each is kept.
CREATE TABLE token (
    id              BLOB NOT NULL PRIMARY KEY,
    name            TEXT NOT NULL,
    -- Who made it, and for whom it speaks.
    actor           TEXT NOT NULL,
    role            TEXT NOT NULL,
    -- What it may do at most, as a list of actions.
    scopes          TEXT NOT NULL,
    -- SHA-256 in hexadecimal.
    hash            TEXT NOT NULL UNIQUE,
    created_at      INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL,
    last_used_at    INTEGER,
    last_used_from  TEXT,
    revoked_at      INTEGER,
    revoked_by      TEXT
);
CREATE INDEX token_actor ON token (actor, created_at);
