-- The page of a repository (R14): how it grows, when its packs were read, what the tamper test found.

-- Every pack is read within so many seconds; NULL where nobody asked for it.
ALTER TABLE repository ADD COLUMN read_all_within_s BIGINT;
-- When a check last read packs, all or some.
ALTER TABLE repository ADD COLUMN data_read_at BIGINT;
ALTER TABLE repository ADD COLUMN packs BIGINT;
-- Packs that were never read, or were found damaged.
ALTER TABLE repository ADD COLUMN packs_unread BIGINT;
-- Since when the pack waits that has waited longest: its last reading, or when it was first seen.
ALTER TABLE repository ADD COLUMN reading_waits_since BIGINT;
-- The newest tamper test.
ALTER TABLE repository ADD COLUMN tamper_test JSONB;
ALTER TABLE repository ADD COLUMN tamper_tested_at BIGINT;

-- The oldest last reading of all packs that the snapshot needs; NULL until each of them was read.
ALTER TABLE snapshot ADD COLUMN data_verified_at BIGINT;

-- Sums over the snapshots of a repository, from the index alone.
CREATE INDEX snapshot_repository_bytes ON snapshot (repository_id, gone_at, bytes);

-- Its size after backups, prunes and checks: the last measurement of each hour.
CREATE TABLE repository_size (
    repository_id   UUID NOT NULL REFERENCES repository (id),
    hour_at         BIGINT NOT NULL,
    measured_at     BIGINT NOT NULL,
    size_bytes      BIGINT NOT NULL,
    -- what its snapshots would take if each were restored
    snapshot_bytes  BIGINT NOT NULL,
    snapshots       BIGINT NOT NULL,
    PRIMARY KEY (repository_id, hour_at)
);

-- Which packs were last read at a time (state read), or first seen then and never read (state seen): 32 bytes a pack,
-- one row a check.
CREATE TABLE pack_reading (
    id              UUID NOT NULL PRIMARY KEY,
    repository_id   UUID NOT NULL REFERENCES repository (id),
    at              BIGINT NOT NULL,
    state           TEXT NOT NULL,
    packs           BYTEA NOT NULL
);
CREATE INDEX pack_reading_repository ON pack_reading (repository_id, at);
