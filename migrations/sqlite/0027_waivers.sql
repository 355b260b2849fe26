-- Findings of the linter that a person takes upon themselves for a time (R41). Rows are never deleted.
CREATE TABLE waiver (
    id          BLOB NOT NULL PRIMARY KEY,
    service_id  BLOB NOT NULL REFERENCES service (id),
    -- The finding's stable id, what it is about (empty: the whole plan), and its text at that time.
    finding     TEXT NOT NULL,
    subject     TEXT NOT NULL,
    said        TEXT NOT NULL,
    reason      TEXT NOT NULL,
    given_by    TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    -- The last day on which it stands, such as 2021-05-31.
    until_on    TEXT NOT NULL,
    ended_at    INTEGER,
    ended_by    TEXT,
    end_reason  TEXT
);
CREATE INDEX waiver_service ON waiver (service_id, created_at, id);
