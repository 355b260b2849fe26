-- The list of runs of one state, the newest first.
CREATE INDEX run_state_queued ON run (state, queued_at, id);
