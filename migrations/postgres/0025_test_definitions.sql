-- What restore tests are made of (R32), by service.
CREATE TABLE test_definition (
    id              UUID NOT NULL PRIMARY KEY,
    service_id      UUID NOT NULL REFERENCES service (id),
    name            TEXT NOT NULL,
    -- Selection, checks, start command, limits.
    terms           JSONB NOT NULL,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    UNIQUE (service_id, name)
);

-- The definition that a test followed, by name, as it was called then; none for the one that is built in.
ALTER TABLE restore_test ADD COLUMN definition TEXT;
