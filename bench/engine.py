"""Holdfast beside restic and borg on the same folders, in alternation.

In every round each operation is done by every tool, one after the other, in an order that turns round by round, so that
a slow minute of the machine hits all alike. What counts is CPU seconds with those of child processes, and ratios within
a round. Nothing is dropped from the page cache: all tools read from memory alike.

Operations marked "warm" are done by a running server, which has derived the repository's key before; the other tools'
figures beside them are those of the same operation in the same round, since they derive it every time.

    BENCH_USERS   users' folders, 200 by default
    BENCH_ROUNDS  3 by default
    BENCH_SAMPLE  users for "one restic process a user", 20 by default; its figures are scaled up
    BENCH_DIR     where data and repositories go; 6 GB for 200 users
"""

import http.client
import json
import os
import shlex
import shutil
import subprocess
import sys
import time

import dataset
import report
from pages import Server

USERS = int(os.environ.get("BENCH_USERS", "200"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
SAMPLE = min(USERS, int(os.environ.get("BENCH_SAMPLE", "20")))
BIN = os.environ["HOLDFAST_BIN"]
WORK = os.path.abspath(os.environ.get("BENCH_DIR") or os.path.expanduser("~/.cache/holdfast/bench"))
HOMES, REPOS, OUT = (os.path.join(WORK, d) for d in ("homes", "repositories", "restored"))
DATA = os.path.join(REPOS, "holdfast-data")
ONE = f"user{USERS // 2:03d}"
ENV = dict(
    os.environ, RESTIC_PASSWORD="bench", RESTIC_CACHE_DIR=os.path.join(REPOS, "restic-cache"), BORG_PASSPHRASE="bench",
    BORG_BASE_DIR=os.path.join(REPOS, "borg-base"), BORG_RELOCATED_REPO_ACCESS_IS_OK="yes", RUST_LOG="warn", RUST_BACKTRACE="0",
)

# The most that Holdfast's CPU seconds (bytes for size) may be of another tool's.
GOALS = {
    ("first", "restic"): 0.55, ("first", "borg"): 0.9, ("unchanged", "restic"): 0.7,
    ("unchanged", "restic, a process a user"): 1 / 60, ("1 % changed", "restic"): 0.8, ("restore all", "restic"): 0.8,
    ("restore all", "cp -r"): 1.3, ("size", "restic"): 1.01, ("unchanged, warm", "restic"): 0.7,
    ("unchanged, warm", "restic, a process a user"): 1 / 60,
}

OPERATIONS = (
    "first", "unchanged", "unchanged, warm", "1 % changed", "restore all", "restore one", "restore one, warm", "list", "size",
)

CONFIG = f"""version: 1
repositories:
  - name: main
    location: "file://{REPOS}/holdfast"
    password: {{ file: "{REPOS}/password" }}
services:
  - name: bench
    title: Benchmark
    owner: bench
    rpo: 24h
    rto: 24h
    mtpod: 48h
    sources:
      - name: homes
        kind: directory
        path: "{HOMES}"
        items: children
        repository: main
"""


def q(*words):
    return " ".join(shlex.quote(w) for w in words)


HOLDFAST = q(BIN, "--data", DATA)


def sh(command):
    return subprocess.run(["bash", "-c", command], env=ENV, check=True, capture_output=True, text=True, timeout=3600).stdout


def measure(command):
    """Runs a command; CPU seconds and the largest resident size include every process it started and waited for."""
    os.sync()
    start = time.monotonic()
    with open(os.path.join(WORK, "errors.log"), "ab") as errors:
        process = subprocess.Popen(["bash", "-ec", command], env=ENV, stdout=subprocess.DEVNULL, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"exit {process.returncode}: {command}\nsee {WORK}/errors.log")
    return {
        "wall_s": time.monotonic() - start, "cpu_s": usage.ru_utime + usage.ru_stime, "rss_mb": usage.ru_maxrss / 1024,
    }


def newest_snapshots():
    """The newest snapshot of every item, as Holdfast lists them."""
    listed = json.loads(sh(f"{HOLDFAST} snapshots --service bench --json").strip().splitlines()[-1])
    newest = {}
    for s in listed["snapshots"]:
        if s["item"] not in newest or s["taken_at"] > newest[s["item"]]["taken_at"]:
            newest[s["item"]] = s
    return newest


class Warm:
    """A running server; the CPU seconds that it and the children it waited for spend on a run."""

    def __enter__(self):
        self.server = Server(["--data", DATA], WORK).__enter__()
        self.head = {"Cookie": self.server.login(), "Content-Type": "application/json", "Sec-Fetch-Site": "same-origin"}
        return self

    def __exit__(self, *error):
        self.server.__exit__(*error)

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        connection.request(method, path, body and json.dumps(body), self.head)
        answer = connection.getresponse()
        text = answer.read().decode()
        if answer.status >= 300:
            raise SystemExit(f"{method} {path}: {answer.status} {text}")
        return json.loads(text)

    def cpu_s(self):
        fields = open(f"/proc/{self.server.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    def run(self, what):
        os.sync()
        before, start = self.cpu_s(), time.monotonic()
        for run in self.ask("POST", "/api/v1/runs", what)["runs"]:
            while (state := self.ask("GET", f"/api/v1/runs/{run}")["state"]) in ("queued", "running"):
                time.sleep(0.1)
            if state != "succeeded":
                raise SystemExit(f"run {run} {state}")
        return {"wall_s": time.monotonic() - start, "cpu_s": self.cpu_s() - before}


def warm(number, record, newest):
    """What a server does whose key is derived: the first backup is not counted."""
    with Warm() as server:
        backup = {"kind": "backup", "service": "bench"}
        server.run(backup)
        record(number, "unchanged, warm", "holdfast", server.run(backup))
        snapshots = [{"snapshot": newest[ONE]["id"], "paths": []}]
        restore = {"kind": "restore", "snapshots": snapshots, "target": {"kind": "folder", "path": OUT + "/x"}}
        record(number, "restore one, warm", "holdfast", server.run(restore))
        shutil.rmtree(OUT + "/x")


def restic_loop(action):
    users = " ".join(f"user{u:03d}" for u in range(SAMPLE))
    return f"for u in {users}; do {action}; done"


def prepare():
    for d in (REPOS, OUT):
        shutil.rmtree(d, ignore_errors=True)
        os.makedirs(d)
    with open(os.path.join(REPOS, "password"), "w") as file:
        file.write("bench\n")
    os.chmod(os.path.join(REPOS, "password"), 0o600)
    with open(os.path.join(REPOS, "holdfast.yaml"), "w") as file:
        file.write(CONFIG)
    sh(f"{HOLDFAST} apply {q(REPOS + '/holdfast.yaml')}")
    sh(f"restic -q init -r {q(REPOS + '/restic')}; restic -q init -r {q(REPOS + '/restic-users')}")
    sh(f"borg init -e repokey-blake2 {q(REPOS + '/borg')}")


def backup_commands():
    restic = f"restic -q -r {q(REPOS + '/restic')} backup --host bench {q(HOMES)}"
    a_user = f"restic -q -r {q(REPOS + '/restic-users')} backup --host bench --tag $u {q(HOMES)}/$u"
    return {
        "holdfast": f"{HOLDFAST} backup bench --json",
        "restic": restic,
        "restic, a process a user": restic_loop(a_user),
        "borg": f"borg create -C zstd,3 {q(REPOS + '/borg')}::a$(date +%s%N) {q(HOMES)}",
    }


def restore_commands():
    newest = newest_snapshots()
    assert len(newest) == USERS, f"{len(newest)} items have snapshots, {USERS} were expected"
    last = sh(f"borg list --last 1 --short {q(REPOS + '/borg')}").strip()
    x = q(OUT + "/x")
    borg = f"mkdir {x} && cd {x} && borg extract {q(REPOS + '/borg::' + last)}"
    everything = {
        "holdfast": "holdfast-all",
        "restic": f"restic -q -r {q(REPOS + '/restic')} restore latest --target {x}",
        "borg": borg,
        "cp -r": f"cp -r {q(HOMES)} {x}",
    }
    one = {
        "holdfast": f"{HOLDFAST} restore {newest[ONE]['snapshot']} --to {x} --json",
        "restic": f"restic -q -r {q(REPOS + '/restic')} restore latest --target {x} --include {q(HOMES + '/' + ONE)}",
        "borg": f"{borg} {q((HOMES + '/' + ONE).lstrip('/'))}",
    }
    # Holdfast restores every user's snapshot in one process.
    ids = " ".join(s["snapshot"] for s in newest.values())
    everything["holdfast"] = f"{HOLDFAST} restore {ids} --to {x} --json"
    listing = {
        "holdfast": f"{HOLDFAST} snapshots --service bench --json",
        "restic": f"restic -q -r {q(REPOS + '/restic')} snapshots --json",
        "borg": f"borg list {q(REPOS + '/borg')}",
    }
    return everything, one, listing


def same_tree(a, b):
    return subprocess.run(["diff", "-rq", "--no-dereference", a, b], capture_output=True).returncode == 0


def size_mb(path):
    return sum(os.path.getsize(os.path.join(at, f)) for at, _, files in os.walk(path) for f in files) / 1e6


def one_round(number, record):
    prepare()

    def each(operation, commands, after=None):
        names = list(commands)
        for tool in names if number % 2 == 0 else reversed(names):
            m = measure(commands[tool])
            if tool == "restic, a process a user":
                m["cpu_s"] *= USERS / SAMPLE
                m["wall_s"] *= USERS / SAMPLE
            record(number, operation, tool, m)
            if after:
                after(tool)

    each("first", backup_commands())
    for tool, folder in (("holdfast", "holdfast"), ("restic", "restic"), ("borg", "borg")):
        record(number, "size", tool, {"size_mb": size_mb(os.path.join(REPOS, folder))})
    each("unchanged", backup_commands())
    dataset.change_one_percent(HOMES, number)
    each("1 % changed", backup_commands())
    everything, one, listing = restore_commands()

    def check_all(tool):
        restored = {"restic": OUT + "/x" + HOMES, "borg": OUT + "/x" + HOMES}.get(tool, OUT + "/x")
        assert same_tree(HOMES, restored), f"{tool} did not restore what was backed up"
        shutil.rmtree(OUT + "/x")

    each("restore all", everything, check_all)
    each("restore one", one, lambda _: shutil.rmtree(OUT + "/x"))
    each("list", listing)
    warm(number, record, newest_snapshots())


def summary(records):
    def values(operation, tool, key):
        # What is warm differs for Holdfast alone.
        named = operation if tool == "holdfast" else operation.removesuffix(", warm")
        return [r[key] for r in records if r["operation"] == named and r["tool"] == tool and key in r]

    def ratio(operation, tool, key):
        mine, theirs = values(operation, "holdfast", key), values(operation, tool, key)
        pairs = [a / b for a, b in zip(mine, theirs) if b]
        return report.median(pairs)

    rows = []
    for operation in OPERATIONS:
        tools = list(dict.fromkeys(r["tool"] for r in records if r["operation"] == operation.removesuffix(", warm")))
        key = "size_mb" if operation == "size" else "cpu_s"
        for tool in sorted(tools, key=lambda t: (t != "holdfast", t)):
            against = None if tool == "holdfast" else report.figure(ratio(operation, tool, key))
            columns = ("cpu_s", "wall_s", "rss_mb", "size_mb")
            figures = (report.figure(report.median(values(operation, tool, c))) for c in columns)
            rows.append([operation, tool, *figures, against, report.figure(GOALS.get((operation, tool)))])
    return rows


def main():
    os.makedirs(WORK, exist_ok=True)
    # In a process of its own: a child's largest resident size begins with that of the process it was forked from.
    made = subprocess.check_output([sys.executable, dataset.__file__, HOMES, str(USERS)], text=True)
    files, size = map(int, made.split())
    facts = dict(
        report.machine(), users=USERS, files=files, bytes=size, rounds=ROUNDS, sample=SAMPLE,
        holdfast=report.output(BIN, "--version"), restic=report.output("restic", "version"), borg=report.output("borg", "--version"),
    )
    records = []

    def record(number, operation, tool, values):
        records.append({"round": number, "operation": operation, "tool": tool, "load": os.getloadavg()[0], **values})
        print(number, operation, tool, {k: round(v, 2) for k, v in values.items()}, flush=True)

    for number in range(ROUNDS):
        one_round(number, record)
    head = ["operation", "tool", "CPU s", "wall s", "max RSS MB", "size MB", "Holdfast is × of it", "goal ≤"]
    text = (
        f"# Engine: {USERS} users, {files} files, {size / 1e9:.2f} GB, median of {ROUNDS} rounds\n\n"
        f"{facts['cpu']}, {facts['cores']} cores, {facts['holdfast']}, {facts['restic']}, {facts['borg']}, {facts['at']}. "
        f"The ratio is the median of ratios within a round, of CPU seconds (of bytes for size).\n\n"
        + report.table(head, summary(records))
    )
    report.write("engine", {"facts": facts, "records": records}, text)
    shutil.rmtree(REPOS, ignore_errors=True)
    shutil.rmtree(OUT, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
