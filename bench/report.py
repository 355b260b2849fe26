"""Medians, machine facts, Markdown and JSON for the benchmarks."""

import json
import os
import platform
import statistics
import subprocess
import time

RESULTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "results")


def median(values):
    return statistics.median(values) if values else None


def percentile(values, p):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * p / 100))] if ordered else None


def output(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30).stdout.strip().splitlines()[0]
    except (OSError, IndexError, subprocess.TimeoutExpired):
        return "missing"


def machine():
    cpu = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    memory = next(int(line.split()[1]) // 1024 for line in open("/proc/meminfo") if line.startswith("MemTotal"))
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "cpu": cpu, "cores": os.cpu_count(),
        "memory_mb": memory, "load_before": os.getloadavg()[0], "kernel": platform.release(),
    }


def table(head, rows):
    cells = [[("–" if c is None else str(c)) for c in row] for row in rows]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in cells])


def figure(value):
    """Three significant digits."""
    if value is None:
        return None
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"


def write(name, data, text):
    os.makedirs(RESULTS, exist_ok=True)
    for ending, content in ((".json", json.dumps(data, indent=1) + "\n"), (".md", text + "\n")):
        path = os.path.join(RESULTS, name + ending)
        with open(path, "w") as file:
            file.write(content)
    print("\n" + text + f"\n\nwritten to {os.path.relpath(RESULTS)}/{name}.md and .json")
