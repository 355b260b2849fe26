-- Exercises: recovery done by people in ordered steps, mixed with restore tests (R35).

CREATE TABLE exercise (
    id              UUID NOT NULL PRIMARY KEY,
    service_id      UUID NOT NULL REFERENCES service (id),
    title           TEXT NOT NULL,
    -- live | imported: an imported one is shown as such everywhere
    kind            TEXT NOT NULL,
    -- the name of the template it was made from; empty for a free one
    template        TEXT NOT NULL,
    -- open | finished | cancelled
    state           TEXT NOT NULL,
    -- passed | failed | unknown, once it is finished
    verdict         TEXT,
    note            TEXT NOT NULL,
    -- people whose data was brought back, where somebody said so
    users           BIGINT,
    started_at      BIGINT NOT NULL,
    -- as a person gave it, with its own offset; absent where Holdfast's clock said it
    started_given   TEXT,
    finished_at     BIGINT,
    finished_given  TEXT,
    -- the steps between which the time is measured
    from_step       BIGINT NOT NULL,
    to_step         BIGINT NOT NULL,
    rto_s           DOUBLE PRECISION,
    rto_target_s    BIGINT,
    created_at      BIGINT NOT NULL,
    created_by      TEXT NOT NULL,
    ended_by        TEXT,
    -- why it was cancelled, or what whoever finished it had to say
    end_note        TEXT
);
CREATE INDEX exercise_started ON exercise (started_at, id);
CREATE INDEX exercise_service ON exercise (service_id, started_at, id);

CREATE TABLE exercise_step (
    exercise_id     UUID NOT NULL REFERENCES exercise (id),
    position        BIGINT NOT NULL,
    title           TEXT NOT NULL,
    details         TEXT NOT NULL,
    -- manual | restore_test
    kind            TEXT NOT NULL,
    -- open | running | done | failed | skipped | unknown
    state           TEXT NOT NULL,
    began_at        BIGINT,
    ended_at        BIGINT,
    actor           TEXT,
    note            TEXT,
    run_id          UUID,
    test_id         UUID,
    PRIMARY KEY (exercise_id, position)
);

CREATE TABLE exercise_file (
    id              UUID NOT NULL PRIMARY KEY,
    exercise_id     UUID NOT NULL REFERENCES exercise (id),
    -- the step it belongs to; absent where it belongs to the whole
    position        BIGINT,
    name            TEXT NOT NULL,
    kind            TEXT NOT NULL,
    size            BIGINT NOT NULL,
    sha256          TEXT NOT NULL,
    content         BYTEA NOT NULL,
    actor           TEXT NOT NULL,
    created_at      BIGINT NOT NULL
);
CREATE INDEX exercise_file_exercise ON exercise_file (exercise_id, id);
