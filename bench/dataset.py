"""The set of users' folders that the engine is measured on: seeded, so that every machine measures the same bytes.

With 200 users it is about 12,000 files and 1.9 GB, of which 1.2 GB are unique: notebooks with outputs, tables, course
material that many share, a large model with every twentieth user and one shared data set with every fiftieth.
"""

import base64
import json
import os
import random
import shutil
import sys

SEED = 42


class Writer:
    def __init__(self, root):
        self.root, self.files, self.bytes = root, 0, 0

    def __call__(self, path, data):
        if isinstance(data, str):
            data = data.encode()
        path = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
        self.files += 1
        self.bytes += len(data)


class Maker:
    def __init__(self, seed):
        self.r = random.Random(seed)
        letters = "abcdefghijklmnopqrstuvwxyz_"
        self.words = ["".join(self.r.choices(letters, k=self.r.randint(2, 11))) for _ in range(6000)]

    def text(self, count):
        return " ".join(self.r.choices(self.words, k=count))

    def cell(self, number):
        r = self.r
        if r.random() < 0.3:
            return {"cell_type": "markdown", "metadata": {}, "source": [self.text(15) + "\n" for _ in range(r.randint(1, 8))]}
        source = [
            f"{r.choice(self.words)} = {r.choice(self.words)}({r.random():.6f}, {r.randint(0, 9999)})\n"
            for _ in range(r.randint(3, 25))
        ]
        outputs, kind = [], r.random()
        if kind < 0.25:
            picture = base64.b64encode(r.randbytes(r.randint(4_000, 45_000))).decode()
            outputs = [{"output_type": "display_data", "metadata": {}, "data": {"image/png": picture}}]
        elif kind < 0.7:
            lines = [self.text(12) + "\n" for _ in range(r.randint(1, 40))]
            outputs = [{"output_type": "stream", "name": "stdout", "text": lines}]
        return {
            "cell_type": "code", "execution_count": number, "id": f"{r.getrandbits(32):08x}",
            "metadata": {}, "source": source, "outputs": outputs,
        }

    def notebook(self, size):
        cells, done = [], 0
        while done < size:
            cells.append(json.dumps(self.cell(len(cells) + 1), indent=1))
            done += len(cells[-1])
        kernel = '{"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}'
        return '{\n "cells": [\n' + ",\n".join(cells) + f'\n ],\n "metadata": {kernel},\n "nbformat": 4,\n "nbformat_minor": 5\n}}\n'

    def table(self, rows):
        r = self.r
        lines = [f"{i},{1_700_000_000 + i * 60},{r.gauss(0, 1):.5f},{r.choice(self.words)}\n" for i in range(rows)]
        return "id,ts,value,label\n" + "".join(lines)


def make(root, users):
    """Writes the folders below `root` unless they are there; returns (files, bytes) as written."""
    done = os.path.join(root + ".json")
    if os.path.exists(done):
        made = json.load(open(done))
        if made["users"] == users and made["seed"] == SEED:
            return made["files"], made["bytes"]
    shutil.rmtree(root, ignore_errors=True)
    os.makedirs(root)
    m = Maker(SEED)
    r, write = m.r, Writer(root)
    lectures = [m.notebook(r.randint(10_000, 300_000)) for _ in range(15)]
    tables = [m.table(r.randint(200, 20_000)) for _ in range(5)]
    shared = r.randbytes(30_000_000)
    for u in range(users):
        home = f"user{u:03d}"
        for i, lecture in enumerate(lectures):
            if r.random() < 0.7:
                write(f"{home}/course/lecture{i:02d}.ipynb", lecture)
        for i, table in enumerate(tables):
            write(f"{home}/data/shared{i}.csv", table)
        for i in range(34):
            size = int(min(300_000, max(10_000, r.lognormvariate(11.2, 0.7))))
            write(f"{home}/notebooks/{'ab'[i % 2]}/notebook{i:02d}.ipynb", m.notebook(size))
        for i in range(6):
            write(f"{home}/data/table{i}.csv", m.table(r.randint(50, 4_000)))
        for i in range(5):
            write(f"{home}/.ipython/profile_default/config{i}.py", m.text(r.randint(20, 400)))
        if u % 20 == 0:
            write(f"{home}/data/model.bin", r.randbytes(r.randint(20_000_000, 50_000_000)))
        if u % 50 == 7:
            write(f"{home}/data/dataset.bin", shared)
    with open(done, "w") as file:
        json.dump({"users": users, "seed": SEED, "files": write.files, "bytes": write.bytes}, file)
    return write.files, write.bytes


def change_one_percent(root, seed):
    """Appends to every hundredth file, chosen by `seed`; large binary files are left alone. Returns how many."""
    r = random.Random(seed)
    # The set is no longer the seeded one: the next benchmark makes it anew.
    if os.path.exists(root + ".json"):
        os.remove(root + ".json")
    files = sorted(
        os.path.join(at, name) for at, _, names in os.walk(root) for name in names if not name.endswith(".bin")
    )
    chosen = r.sample(files, max(1, len(files) // 100))
    for path in chosen:
        with open(path, "ab") as file:
            file.write(r.randbytes(200).hex().encode())
    return len(chosen)


if __name__ == "__main__":
    print(*make(sys.argv[1], int(sys.argv[2])))
