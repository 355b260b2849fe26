-- What restore tests are made of (R32), by service.
CREATE TABLE test_definition (
    id              BLOB NOT NULL PRIMARY KEY,
    service_id      BLOB NOT NULL REFERENCES service (id),
    name            TEXT NOT NULL,
    -- Selection, checks, start command, limits.
    terms           TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    UNIQUE (service_id, name)
);

-- The definition that a test followed, by name, as it was called then; none for the one that is built in.
ALTER TABLE restore_test ADD COLUMN definition TEXT;
