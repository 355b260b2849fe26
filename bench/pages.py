"""Pages under load on a full database, on SQLite and on PostgreSQL.

    BENCH_PEOPLE, BENCH_SERVICES, BENCH_SNAPSHOTS, BENCH_RUNS   10,000 · 1,000 · 1,000,000 · 100,000 by default
    BENCH_SECONDS      of load for every kind of page, 10 by default
    BENCH_CONNECTIONS  8 by default
    BENCH_DATABASES    "sqlite postgres" by default
"""

import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.parse

import fill
import load
import report

ENV = os.environ
PEOPLE, SERVICES = int(ENV.get("BENCH_PEOPLE", "10000")), int(ENV.get("BENCH_SERVICES", "1000"))
SNAPSHOTS, RUNS = int(ENV.get("BENCH_SNAPSHOTS", "1000000")), int(ENV.get("BENCH_RUNS", "100000"))
SECONDS, CONNECTIONS = float(ENV.get("BENCH_SECONDS", "10")), int(ENV.get("BENCH_CONNECTIONS", "8"))
DATABASES = ENV.get("BENCH_DATABASES", "sqlite postgres").split()
BIN = ENV["HOLDFAST_BIN"]
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
COMPONENT = os.path.join(ROOT, "end2end/components/postgres")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def configuration(dir):
    head = f"""version: 1
repositories:
  - name: main
    location: "file://{dir}/repository"
    password: {{ file: "{dir}/password" }}
services:
"""
    one = """  - name: service-{n:04d}
    title: Service number {n}
    owner: team-{t}
    rpo: 24h
    rto: 24h
    mtpod: 48h
    sources:
      - name: homes
        kind: directory
        path: "{dir}/exports/{n}"
        items: children
        repository: main
"""
    return head + "".join(one.format(n=n, t=n % 40, dir=dir) for n in range(SERVICES))


def resident_mb(pid):
    """Resident memory of a process and its children, in MB."""
    total = 0
    children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()
    for p in [str(pid), *children]:
        try:
            total += next(int(line.split()[1]) for line in open(f"/proc/{p}/status") if line.startswith("VmRSS"))
        except (FileNotFoundError, StopIteration):
            pass
    return total / 1024


class Server:
    def __init__(self, arguments, dir):
        self.arguments, self.dir, self.port = arguments, dir, free_port()

    def command(self, *words):
        return [BIN, *self.arguments, *words]

    def __enter__(self):
        with open(os.path.join(self.dir, "server.log"), "ab") as log:
            start = time.monotonic()
            self.process = subprocess.Popen(
                self.command("serve", "--listen", f"127.0.0.1:{self.port}"), stdout=log, stderr=log, env=dict(ENV, RUST_LOG="warn")
            )
        while time.monotonic() - start < 60:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                connection.request("GET", "/healthz")
                if connection.getresponse().status == 200:
                    self.start_s = time.monotonic() - start
                    return self
            except OSError:
                time.sleep(0.005)
            if self.process.poll() is not None:
                break
        raise SystemExit("the server did not start:\n" + open(os.path.join(self.dir, "server.log")).read()[-3000:])

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def login(self):
        """Follows a one-time link as a browser without scripts does; returns the session's cookie."""
        out = subprocess.run(self.command("login-link"), capture_output=True, text=True, check=True).stdout
        link = urllib.parse.urlsplit(re.search(r"https?://\S+", out).group())
        path = link.path + (f"?{link.query}" if link.query else "")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", path)
        answer = connection.getresponse()
        page = answer.read().decode()
        cookies = [c.split(";")[0] for c in answer.headers.get_all("set-cookie") or []]
        form = next((f for f in re.findall(r"<form.*?</form>", page, re.S) if "token" in f), None)
        if form:
            fields = {}
            for tag in re.findall(r"<input[^>]*>", form):
                name = re.search(r'name="([^"]*)"', tag)
                value = re.search(r'value="([^"]*)"', tag)
                if name:
                    fields[name.group(1)] = value.group(1) if value else ""
            target = re.search(r'action="([^"]*)"', form)
            head = {
                "Content-Type": "application/x-www-form-urlencoded", "Origin": f"http://127.0.0.1:{self.port}",
                "Sec-Fetch-Site": "same-origin", "Accept": "text/html", "Cookie": "; ".join(cookies),
            }
            connection.request("POST", target.group(1) if target else path, urllib.parse.urlencode(fields), head)
            answer = connection.getresponse()
            answer.read()
            cookies += [c.split(";")[0] for c in answer.headers.get_all("set-cookie") or []]
        if not cookies:
            raise SystemExit(f"no session after following {link.path}: status {answer.status}")
        return "; ".join(cookies)


def kinds_of_page(sample):
    def every(form, values):
        return [form.format(urllib.parse.quote(str(v))) for v in values]

    small = sample["services"][1:200]
    return {
        "home": ["/"],
        "services": ["/services"],
        "service": every("/services/{}", small),
        "service with everybody": every("/services/{}", sample["services"][:1]),
        "snapshots": ["/snapshots"],
        "snapshots of a service": every("/snapshots?service={}", small),
        "people": ["/people"],
        "person": every("/people/{}", sample["people"]),
        "snapshot": every("/snapshots/{}", sample["snapshots"]),
        "runs": ["/runs"],
        "tests": ["/tests"],
    }


def measure_database(kind, dir, facts):
    data = os.path.join(dir, kind)
    arguments, url, state = ["--data", data], None, os.path.join(dir, "postgres")
    os.makedirs(data, exist_ok=True)
    try:
        if kind == "postgres":
            url = subprocess.run([COMPONENT + "/up", state], check=True, capture_output=True, text=True).stdout.strip()
            arguments += ["--database", url]
        with open(os.path.join(dir, "password"), "w") as file:
            file.write("bench\n")
        config = os.path.join(dir, "holdfast.yaml")
        with open(config, "w") as file:
            file.write(configuration(dir))
        start = time.monotonic()
        subprocess.run([BIN, *arguments, "apply", config], check=True, capture_output=True, timeout=900)
        apply_s = time.monotonic() - start
        db = fill.Postgres(url) if url else fill.Sqlite(os.path.join(data, "holdfast.db"))
        sample = fill.fill(db, PEOPLE, SNAPSHOTS, RUNS, int(time.time() * 1e6))
        print(f"{kind}: filled in {time.monotonic() - start:.0f} s: {sample['counts']}", flush=True)
        facts["counts"] = sample["counts"]
        result = {"apply_s": apply_s, "pages": {}}
        with Server(arguments, dir) as server:
            result["start_s"] = server.start_s
            cookie = server.login()
            time.sleep(3)
            result["idle_mb"] = resident_mb(server.process.pid)
            for name, paths in kinds_of_page(sample).items():
                load.measure(server.port, cookie, paths, min(1, SECONDS), CONNECTIONS)
                m = load.measure(server.port, cookie, paths, SECONDS, CONNECTIONS)
                result["pages"][name] = {
                    "p50_ms": report.percentile(m["times"], 50) * 1000, "p99_ms": report.percentile(m["times"], 99) * 1000,
                    "pages_s": m["pages_s"], "kb": m["bytes"] / 1000,
                }
                print(kind, name, {k: round(v, 1) for k, v in result["pages"][name].items()}, flush=True)
            result["loaded_mb"] = resident_mb(server.process.pid)
        return result
    finally:
        if kind == "postgres":
            subprocess.run([COMPONENT + "/down", state], check=False)


def main():
    facts = dict(report.machine(), holdfast=report.output(BIN, "--version"), seconds=SECONDS, connections=CONNECTIONS)
    dir = tempfile.mkdtemp(prefix="holdfast-bench-")
    os.chmod(dir, 0o755)
    try:
        results = {kind: measure_database(kind, dir, facts) for kind in DATABASES}
    finally:
        shutil.rmtree(dir, ignore_errors=True)
    rows = [
        [page, kind, *(report.figure(r["pages"][page][c]) for c in ("p50_ms", "p99_ms", "pages_s", "kb"))]
        for page in results[DATABASES[0]]["pages"] for kind, r in results.items()
    ]
    whole = [
        [kind, *(report.figure(r[c]) for c in ("start_s", "idle_mb", "loaded_mb", "apply_s"))] for kind, r in results.items()
    ]
    text = (
        "# Pages under load\n\n" + ", ".join(f"{n:,} {what}" for what, n in facts["counts"].items())
        + f". {CONNECTIONS} connections for {SECONDS:g} s a page, load generator on the same machine: {facts['cpu']}, {facts['cores']} cores, {facts['at']}.\n\n"
        + report.table(["page", "database", "p50 ms", "p99 ms", "pages/s", "kB"], rows) + "\n\n"
        + report.table(["database", "start s", "idle MB", "after load MB", f"apply of {SERVICES} services s"], whole)
    )
    report.write("pages", {"facts": facts, "results": results}, text)


if __name__ == "__main__":
    main()
