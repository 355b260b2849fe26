"""Fills a database with an organisation of the size that pages must stay fast at (R58), by bulk loading.

One service holds every person, as a notebook service does; the others hold a handful of items each. Services, sources
and the repository are made by `holdfast apply` before this; what runs would have written is written here. The same rows
go into SQLite and PostgreSQL.
"""

import random
import sqlite3
import subprocess
import uuid

DAY = 86_400_000_000


class Ids:
    """UUID version 7, so that ids sort by the time they were made, as Holdfast's own do."""

    def __init__(self, seed):
        self.r = random.Random(seed)

    def at(self, micros):
        value = (micros // 1000) << 80 | 7 << 76 | self.r.getrandbits(12) << 64 | 2 << 62 | self.r.getrandbits(62)
        return uuid.UUID(int=value)


class Sqlite:
    def __init__(self, path):
        self.db = sqlite3.connect(path)
        self.db.execute("PRAGMA synchronous = OFF")

    def rows(self, sql):
        return self.db.execute(sql).fetchall()

    def uuid(self, value):
        return uuid.UUID(bytes=value)

    def load(self, table, columns, rows):
        put = (tuple(v.bytes if isinstance(v, uuid.UUID) else v for v in row) for row in rows)
        self.db.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})", put)

    def run(self, sql):
        self.db.execute(sql)

    def finish(self):
        self.db.commit()
        self.db.execute("ANALYZE")
        self.db.commit()
        self.db.close()


class Postgres:
    def __init__(self, url):
        self.command = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", url]

    def rows(self, sql):
        out = subprocess.run([*self.command, "-At", "-F", "\t", "-c", sql], check=True, capture_output=True, text=True).stdout
        return [tuple(line.split("\t")) for line in out.splitlines()]

    def uuid(self, value):
        return uuid.UUID(value)

    def load(self, table, columns, rows):
        process = subprocess.Popen([*self.command, "-c", f"COPY {table} ({', '.join(columns)}) FROM STDIN"], stdin=subprocess.PIPE, text=True)
        for row in rows:
            process.stdin.write("\t".join("\\N" if v is None else str(v).replace("\\", "\\\\") for v in row) + "\n")
        process.stdin.close()
        if process.wait() != 0:
            raise SystemExit(f"COPY {table} failed")

    def run(self, sql):
        subprocess.run([*self.command, "-c", sql], check=True)

    def finish(self):
        self.run("VACUUM ANALYZE")


SNAPSHOT = (
    "id repository_id service_id source_id item_id person_id run_id restic_id tree taken_at host label paths tags state files dirs"
    " bytes bytes_added files_added files_changed files_removed errors level"
).split()
RUN = "id kind state service_id source_id repository_id title params actor queued_at started_at finished_at run_at attempts".split()
TEST = (
    "id run_id service_id selection started_at finished_at verdict level rto_s rto_target_s rpo_s rpo_target_s items_restored"
    " items_skipped items_failed files bytes checks teardown snapshots"
).split()

# As domain::work and domain::evidence write them.
PARAMS = {"backup": '{"items": null}', "restore_test": '{"selection": {"kind": "sample", "count": 3}}', "check": '{"read_data": false}'}
CHECKS = '[{"name": "counts", "verdict": "passed", "detail": "300 of 300 files"}]'


def teardown(start, end):
    return f'{{"scratch": "/scratch", "started_at": {start}, "gone_at": {end}, "detail": ""}}'


def fill(db, people, snapshots, runs, now):
    """Loads everything; returns what the measurement asks for: names and ids of some of each."""
    r, ids = random.Random(58), Ids(58)
    sources = [
        (name, db.uuid(service), db.uuid(source), db.uuid(repository))
        for name, service, source, repository in db.rows(
            "SELECT s.name, s.id, o.id, o.repository_id FROM service s JOIN source o ON o.service_id = s.id ORDER BY s.name"
        )
    ]
    start = now - 365 * DAY
    persons = [(ids.at(start), f"user{n:05d}", start) for n in range(people)]
    db.load("person", ["id", "name", "created_at"], persons)

    # The first service holds everybody, the others share everybody among them.
    items = [(ids.at(start), sources[0], person) for person in persons]
    items += [(ids.at(start), sources[1 + n % (len(sources) - 1)], person) for n, person in enumerate(persons)]
    each = snapshots // len(items)

    kinds = ["backup"] * 18 + ["restore_test", "check"]
    states = ["succeeded"] * 46 + ["partial", "partial", "failed", "cancelled"]
    run_rows, newest_run, test_rows = [], {}, []
    for n in range(runs):
        name, service, source, repository = sources[n % len(sources)]
        at = start + (now - start) * n // runs
        kind = kinds[n // len(sources) % len(kinds)]
        state = r.choice(states)
        run_id, end = ids.at(at), at + r.randint(4, 900) * 1_000_000
        title = {"backup": "Backup", "restore_test": "Restore test", "check": "Check"}[kind] + f" of {name}"
        run_rows.append((run_id, kind, state, service, source, repository, title, PARAMS[kind], "schedule", at, at, end, at, 1))
        newest_run[service] = (run_id, state, end)
        if kind == "restore_test" and state in ("succeeded", "failed"):
            verdict = "passed" if state == "succeeded" else "failed"
            rto = (end - at) / 1e6
            test_rows.append((
                ids.at(at), run_id, service, "sample 3", at, end, verdict, "asserted" if verdict == "passed" else "restored", rto, 86_400,
                r.randint(600, 90_000), 86_400, 3, 0, 0, 300, 9_000_000, CHECKS, teardown(at, end), "[]",
            ))
    db.load("run", RUN, run_rows)
    db.load("restore_test", TEST, test_rows)

    last = {}

    def snapshot_rows():
        for turn in range(each):
            at = now - (each - turn) * DAY + DAY // 2
            for n, (item, (name, service, source, repository), person) in enumerate(items):
                taken = at + n
                snapshot = ids.at(taken)
                last[item] = (snapshot, taken)
                size = 1_000_000 + (n * 7919) % 90_000_000
                yield (
                    snapshot, repository, service, source, item, person[0], None, f"{r.getrandbits(256):064x}", f"{r.getrandbits(256):064x}", taken,
                    name, person[1], f'["/{person[1]}"]', '["nightly"]', "complete", 60, 12, size, size // 80, 1, 2, 0, 0, "exists",
                )

    # SQLite checks references at once, so the items come first; what they know of their snapshots follows.
    columns = "id source_id service_id person_id name first_seen_at last_seen_at".split()
    db.load("item", columns, ((i, s[2], s[1], p[0], p[1], start, now) for i, s, p in items))
    db.load("snapshot", SNAPSHOT, snapshot_rows())

    db.run("CREATE TABLE bench_fact (item_id " + ("BLOB" if isinstance(db, Sqlite) else "UUID") + " PRIMARY KEY, snapshot_id "
           + ("BLOB" if isinstance(db, Sqlite) else "UUID") + ", taken_at BIGINT)")
    db.load("bench_fact", ["item_id", "snapshot_id", "taken_at"], ((i, s, t) for i, (s, t) in last.items()))
    db.run(
        f"UPDATE item SET last_snapshot_id = f.snapshot_id, last_snapshot_at = f.taken_at, snapshots = {each}, size_bytes = 30000000"
        " FROM bench_fact f WHERE f.item_id = item.id"
    )
    db.run("DROP TABLE bench_fact")
    db.run(
        "UPDATE service SET items = c.n, items_fresh = c.n, last_snapshot_at = c.t FROM"
        " (SELECT service_id, count(*) AS n, max(last_snapshot_at) AS t FROM item GROUP BY service_id) c WHERE c.service_id = service.id"
    )
    db.run(
        "UPDATE service SET last_run_id = r.id, last_run_state = r.state, last_run_at = r.finished_at FROM run r"
        " WHERE r.service_id = service.id AND r.queued_at = (SELECT max(queued_at) FROM run x WHERE x.service_id = service.id)"
    )
    db.run(
        "UPDATE service SET last_test_id = t.id, last_test_verdict = t.verdict, last_test_at = t.finished_at, last_test_rto_s = t.rto_s,"
        " last_test_rpo_s = t.rpo_s, best_level = 'asserted' FROM restore_test t WHERE t.service_id = service.id"
        " AND t.started_at = (SELECT max(started_at) FROM restore_test x WHERE x.service_id = service.id)"
    )
    db.finish()
    some = r.sample(list(last.values()), min(500, len(last)))
    return {
        "services": [s[0] for s in sources],
        "people": [p[1] for p in r.sample(persons, min(500, people))],
        "snapshots": [str(snapshot) for snapshot, _ in some],
        "before": [(taken, str(snapshot)) for snapshot, taken in some],
        "counts": {"people": people, "services": len(sources), "items": len(items), "snapshots": each * len(items), "runs": runs, "tests": len(test_rows)},
    }
