-- Schedules, the ledger of what they expected, and the longest time that a run may take.
-- Times are microseconds since 1970 UTC, durations are seconds.

CREATE TABLE schedule (
    id              UUID NOT NULL PRIMARY KEY,
    name            TEXT NOT NULL UNIQUE,
    -- backup | check | restore_test
    kind            TEXT NOT NULL,
    -- what it is for: a service (all of its sources), one source of it, or a repository
    service_id      UUID REFERENCES service (id),
    source_id       UUID REFERENCES source (id),
    repository_id   UUID REFERENCES repository (id),
    -- the parameters of its runs, as the run's kind has them
    params          JSONB NOT NULL,
    cron            TEXT NOT NULL,
    zone            TEXT NOT NULL,
    jitter_s        BIGINT NOT NULL,
    max_duration_s  BIGINT,
    -- skip | once | all
    misfire         TEXT NOT NULL,
    -- how many runs a day somebody has confirmed
    runs_a_day      BIGINT,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    removed_at      BIGINT,
    paused_at       BIGINT,
    paused_until    BIGINT,
    paused_by       TEXT,
    pause_reason    TEXT,
    -- The first tick that is not in the ledger yet, and when its run begins: later by the jitter.
    next_at         BIGINT NOT NULL,
    next_run_at     BIGINT NOT NULL,
    -- One higher with each change, so that two who change it at once are told apart.
    revision        BIGINT NOT NULL DEFAULT 1
);
CREATE INDEX schedule_due ON schedule (removed_at, next_run_at);
CREATE INDEX schedule_service ON schedule (service_id);

-- The ledger: one row for each tick and each thing it was for, also for the time Holdfast was down.
CREATE TABLE tick (
    id              UUID NOT NULL PRIMARY KEY,
    schedule_id     UUID NOT NULL REFERENCES schedule (id),
    due_at          BIGINT NOT NULL,
    kind            TEXT NOT NULL,
    service_id      UUID REFERENCES service (id),
    -- a source, a repository or a service, and its name as lists show it
    target_id       UUID NOT NULL,
    target          TEXT NOT NULL,
    run_id          UUID REFERENCES run (id),
    -- open while its run is live, then as the run ended; missed where there is none
    state           TEXT NOT NULL,
    -- down | overlap | underway | paused | no_target
    reason          TEXT,
    detail          TEXT,
    decided_at      BIGINT NOT NULL,
    UNIQUE (schedule_id, due_at, target_id)
);
CREATE INDEX tick_due ON tick (due_at, id);
CREATE INDEX tick_schedule_due ON tick (schedule_id, due_at, id);
CREATE INDEX tick_service_due ON tick (service_id, due_at, id);
CREATE INDEX tick_state_due ON tick (state, due_at, id);
CREATE INDEX tick_run ON tick (run_id);

ALTER TABLE run ADD COLUMN schedule_id UUID;
ALTER TABLE run ADD COLUMN max_duration_s BIGINT;
-- Set when the run begins; a run that is not through by then is cancelled.
ALTER TABLE run ADD COLUMN deadline_at BIGINT;
CREATE INDEX run_deadline ON run (deadline_at) WHERE state = 'running';
