-- Signing in at an OpenID provider (R49).

CREATE TABLE provider (
    id              BLOB NOT NULL PRIMARY KEY,
    name            TEXT NOT NULL UNIQUE,
    -- Issuer, client, scopes, claims, roles: all but the secret.
    config          TEXT NOT NULL,
    -- A reference to the client's secret; NULL for a public client.
    client_secret   TEXT,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    removed_at      INTEGER
);

-- Somebody as one provider knows them.
CREATE TABLE account (
    id              BLOB NOT NULL PRIMARY KEY,
    provider_id     BLOB NOT NULL REFERENCES provider (id),
    -- The person key.
    subject         TEXT NOT NULL,
    -- How the audit trail names the account; it never changes.
    label           TEXT NOT NULL UNIQUE,
    name            TEXT NOT NULL,
    email           TEXT NOT NULL,
    -- What the roles were given by, when it was last asked.
    claims          TEXT NOT NULL,
    role            TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    seen_at         INTEGER NOT NULL,
    UNIQUE (provider_id, subject)
);

-- Whose session is whose, and how it is refreshed. The row of a session that is over means nothing.
CREATE TABLE sign_in (
    session_id      TEXT NOT NULL PRIMARY KEY,
    actor           TEXT NOT NULL,
    account_id      BLOB REFERENCES account (id),
    -- The provider's name of its own session.
    sid             TEXT,
    -- Refresh, access and ID token, sealed with the server's key.
    tokens          TEXT,
    origin          TEXT NOT NULL,
    agent           TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    refresh_at      INTEGER NOT NULL
);
CREATE INDEX sign_in_account ON sign_in (account_id);
CREATE INDEX sign_in_actor ON sign_in (actor);
