-- Calls that start or create something and carry a key, so that a repeat does it once (R53). Rows live for a day.
CREATE TABLE idempotency (
    -- Whose key it is: the same one of somebody else is another.
    actor           TEXT NOT NULL,
    key             TEXT NOT NULL,
    -- Method and path with its query.
    call            TEXT NOT NULL,
    -- SHA-256 of the body in hexadecimal.
    body            TEXT NOT NULL,
    -- Whoever works on it: only they may write what was done.
    claim           BLOB NOT NULL,
    claimed_at      INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    -- What was started or created, written in the transaction that did so.
    done            TEXT,
    -- The answer, once it was given.
    status          INTEGER,
    answer          TEXT,
    PRIMARY KEY (actor, key)
);
CREATE INDEX idempotency_created ON idempotency (created_at);
