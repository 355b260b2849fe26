-- The mass-change guard (R21): what each snapshot changed, and which of them are in doubt.

-- What it changed against the one before it, as the guard judges it; absent where another program wrote it.
ALTER TABLE snapshot ADD COLUMN measure JSONB;
-- The guard's hold that this snapshot is in question by: bad where the hold was kept, in order where it was released at once.
ALTER TABLE snapshot ADD COLUMN doubt_hold_id UUID REFERENCES hold (id);
CREATE INDEX snapshot_doubt ON snapshot (doubt_hold_id) WHERE doubt_hold_id IS NOT NULL;

-- When a person decided that what a guard found was an attack or an accident; it stays when the hold ends.
ALTER TABLE hold ADD COLUMN kept_at BIGINT;
CREATE INDEX hold_item ON hold (item_id, created_at, id) WHERE item_id IS NOT NULL;
