-- What the overview reads: the backups of 30 days by service, and the facts of a service's sources, from the index alone.
CREATE INDEX run_kind_queued ON run (kind, queued_at, service_id, state);
CREATE INDEX item_service_facts ON item (service_id, gone_at, source_id, last_snapshot_at, size_bytes, snapshots);
