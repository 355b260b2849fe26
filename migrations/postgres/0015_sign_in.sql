-- Signing in at an OpenID provider (R49).

CREATE TABLE provider (
    id              UUID NOT NULL PRIMARY KEY,
    name            TEXT NOT NULL UNIQUE,
    -- Issuer, client, scopes, claims, roles: all but the secret.
    config          JSONB NOT NULL,
    -- A reference to the client's secret; NULL for a public client.
    client_secret   JSONB,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    removed_at      BIGINT
);

-- Somebody as one provider knows them.
CREATE TABLE account (
    id              UUID NOT NULL PRIMARY KEY,
    provider_id     UUID NOT NULL REFERENCES provider (id),
    -- The person key.
    subject         TEXT NOT NULL,
    -- How the audit trail names the account; it never changes.
    label           TEXT NOT NULL UNIQUE,
    name            TEXT NOT NULL,
    email           TEXT NOT NULL,
    -- What the roles were given by, when it was last asked.
    claims          JSONB NOT NULL,
    role            TEXT NOT NULL,
    created_at      BIGINT NOT NULL,
    seen_at         BIGINT NOT NULL,
    UNIQUE (provider_id, subject)
);

-- Whose session is whose, and how it is refreshed. The row of a session that is over means nothing.
CREATE TABLE sign_in (
    session_id      TEXT NOT NULL PRIMARY KEY,
    actor           TEXT NOT NULL,
    account_id      UUID REFERENCES account (id),
    -- The provider's name of its own session.
    sid             TEXT,
    -- Refresh, access and ID token, sealed with the server's key.
    tokens          JSONB,
    origin          TEXT NOT NULL,
    agent           TEXT NOT NULL,
    created_at      BIGINT NOT NULL,
    refresh_at      BIGINT NOT NULL
);
CREATE INDEX sign_in_account ON sign_in (account_id);
CREATE INDEX sign_in_actor ON sign_in (actor);
