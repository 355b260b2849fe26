-- Native snapshots: what a cloud said of an instance, of its snapshots and of the credential that it is reached with.
ALTER TABLE item ADD COLUMN native JSONB;
ALTER TABLE snapshot ADD COLUMN native JSONB;
ALTER TABLE repository ADD COLUMN credential JSONB;
-- When a process last began to look at a cloud: of several that see that it is due one does.
ALTER TABLE repository ADD COLUMN looked_at BIGINT;
-- The newest run of each instance, and those that went wrong: there may be one an hour and instance.
CREATE INDEX run_instance ON run (resource_key, queued_at) WHERE kind = 'instance_snapshot';
CREATE INDEX run_instance_wrong ON run (resource_key, queued_at) WHERE kind = 'instance_snapshot' AND state IN ('failed', 'interrupted', 'partial');
