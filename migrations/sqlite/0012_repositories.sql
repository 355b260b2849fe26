-- The page of a repository (R14): how it grows, when its packs were read, what the tamper test found.

-- Every pack is read within so many seconds; NULL where nobody asked for it.
ALTER TABLE repository ADD COLUMN read_all_within_s INTEGER;
-- When a check last read packs, all or some.
ALTER TABLE repository ADD COLUMN data_read_at INTEGER;
ALTER TABLE repository ADD COLUMN packs INTEGER;
-- Packs that were never read, or were found damaged.
ALTER TABLE repository ADD COLUMN packs_unread INTEGER;
-- Since when the pack waits that has waited longest: its last reading, or when it was first seen.
ALTER TABLE repository ADD COLUMN reading_waits_since INTEGER;
-- The newest tamper test.
ALTER TABLE repository ADD COLUMN tamper_test TEXT;
ALTER TABLE repository ADD COLUMN tamper_tested_at INTEGER;

-- The oldest last reading of all packs that the snapshot needs; NULL until each of them was read.
ALTER TABLE snapshot ADD COLUMN data_verified_at INTEGER;

-- Sums over the snapshots of a repository, from the index alone.
CREATE INDEX snapshot_repository_bytes ON snapshot (repository_id, gone_at, bytes);

-- Its size after backups, prunes and checks: the last measurement of each hour.
CREATE TABLE repository_size (
    repository_id   BLOB NOT NULL REFERENCES repository (id),
    hour_at         INTEGER NOT NULL,
    measured_at     INTEGER NOT NULL,
    size_bytes      INTEGER NOT NULL,
    -- what its snapshots would take if each were restored
    snapshot_bytes  INTEGER NOT NULL,
    snapshots       INTEGER NOT NULL,
    PRIMARY KEY (repository_id, hour_at)
);

-- Which packs were last read at a time (state read), or first seen then and never read (state seen): 32 bytes a pack,
-- one row a check.
CREATE TABLE pack_reading (
    id              BLOB NOT NULL PRIMARY KEY,
    repository_id   BLOB NOT NULL REFERENCES repository (id),
    at              INTEGER NOT NULL,
    state           TEXT NOT NULL,
    packs           BLOB NOT NULL
);
CREATE INDEX pack_reading_repository ON pack_reading (repository_id, at);
