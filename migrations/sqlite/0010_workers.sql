-- Processes that carry runs out. `owner` is what stands in `run.lease_owner`.
CREATE TABLE worker (
    owner           TEXT NOT NULL PRIMARY KEY,
    name            TEXT NOT NULL,
    host            TEXT NOT NULL,
    version         TEXT NOT NULL,
    -- runs at a time
    slots           INTEGER NOT NULL,
    started_at      INTEGER NOT NULL,
    seen_at         INTEGER NOT NULL
);
CREATE INDEX worker_seen ON worker (seen_at);

-- Runs at a time that use a repository; NULL means that nothing limits them.
ALTER TABLE repository ADD COLUMN max_parallel INTEGER;

-- What the claim counts: running runs by repository and by service, and when a service last began one.
CREATE INDEX run_running ON run (repository_id, service_id) WHERE state = 'running';
CREATE INDEX run_service_started ON run (service_id, started_at);
-- What the metrics count.
CREATE INDEX restore_test_passed ON restore_test (verdict, service_id, finished_at);
