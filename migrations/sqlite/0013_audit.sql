-- The last event of the audit trail: without it rows that are cut off at the end would not be missed.
CREATE TABLE audit_head (
    id   INTEGER NOT NULL PRIMARY KEY,
    seq  INTEGER NOT NULL,
    hash TEXT NOT NULL,
    at   INTEGER NOT NULL
);
INSERT INTO audit_head (id, seq, hash, at) SELECT 1, seq, hash, at FROM audit_event ORDER BY seq DESC LIMIT 1;

CREATE INDEX audit_event_actor ON audit_event (actor, seq);
CREATE INDEX audit_event_at ON audit_event (at, seq);

-- Events are only ever added.
CREATE TRIGGER audit_event_is_not_changed BEFORE UPDATE ON audit_event BEGIN SELECT RAISE(ABORT, 'the audit trail is only ever added to'); END;
CREATE TRIGGER audit_event_is_not_removed BEFORE DELETE ON audit_event BEGIN SELECT RAISE(ABORT, 'the audit trail is only ever added to'); END;
