-- Snapshots are looked up by the beginning of their restic id.
CREATE INDEX snapshot_restic ON snapshot (restic_id);
