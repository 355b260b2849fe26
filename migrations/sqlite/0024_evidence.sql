-- Keys that sign evidence (R37). A key that is retired signs nothing any more: its private part is gone.
CREATE TABLE evidence_key (
    -- SHA-256 of the public part as SubjectPublicKeyInfo, in hexadecimal.
    id           TEXT PRIMARY KEY NOT NULL,
    -- The 32 bytes of Ed25519, in hexadecimal.
    public_key   TEXT NOT NULL,
    -- Sealed with the server's key.
    private_key  TEXT,
    made_at      INTEGER NOT NULL,
    made_by      TEXT NOT NULL,
    retired_at   INTEGER,
    retired_by   TEXT,
    -- 1 for the one that signs; empty for all others.
    signs        INTEGER UNIQUE
);

-- One chain of signed statements: results of restore tests, new keys, countersignatures.
CREATE TABLE evidence (
    -- From 1, without gaps.
    seq          INTEGER PRIMARY KEY NOT NULL,
    id           BLOB NOT NULL UNIQUE,
    -- restore_test | key | countersignature
    kind         TEXT NOT NULL,
    service_id   BLOB REFERENCES service (id),
    test_id      BLOB UNIQUE REFERENCES restore_test (id),
    -- What a countersignature is about, and who gave it.
    about_seq    INTEGER,
    person       TEXT,
    -- When it happened, and when it was written down.
    effective_at INTEGER NOT NULL,
    recorded_at  INTEGER NOT NULL,
    -- The statement, byte by byte as it is signed.
    payload      TEXT NOT NULL,
    -- SHA-256 of what is signed (DSSE's PAE) of the record before, and of this one; empty for the first.
    prev_hash    TEXT NOT NULL,
    hash         TEXT NOT NULL,
    -- Empty until the server has signed what a worker without its key wrote.
    key_id       TEXT REFERENCES evidence_key (id),
    signature    TEXT,
    signed_at    INTEGER,
    UNIQUE (about_seq, person)
);
CREATE INDEX evidence_unsigned ON evidence (seq) WHERE signature IS NULL;

-- The last record: without it those that are cut off at the end would not be missed.
CREATE TABLE evidence_head (
    id   INTEGER PRIMARY KEY NOT NULL,
    seq  INTEGER NOT NULL,
    hash TEXT NOT NULL
);

-- Records are only ever added, and signed once.
CREATE TRIGGER evidence_is_not_changed BEFORE UPDATE ON evidence
WHEN OLD.signature IS NOT NULL OR NEW.seq <> OLD.seq OR NEW.payload <> OLD.payload OR NEW.hash <> OLD.hash OR NEW.prev_hash <> OLD.prev_hash
BEGIN SELECT RAISE(ABORT, 'evidence is only ever added to'); END;
CREATE TRIGGER evidence_is_not_removed BEFORE DELETE ON evidence BEGIN SELECT RAISE(ABORT, 'evidence is only ever added to'); END;
