"""A small load generator: a few keep-alive connections to 127.0.0.1, each asking again as soon as it was answered.

It is one process and cheap, because it shares the machine with what it measures. A page counts only with status 200.
"""

import asyncio
import itertools
import time

# As a browser sends it.
ACCEPT = "gzip, deflate, br, zstd"


class Connection(asyncio.Protocol):
    """One HTTP/1.1 connection that asks for the next address whenever an answer is complete."""

    def __init__(self, load):
        self.load, self.buffer, self.done = load, b"", asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        self.ask()

    def ask(self):
        if self.load.finished():
            self.transport.close()
            return
        self.path = next(self.load.paths)
        self.asked = time.perf_counter()
        self.transport.write(f"GET {self.path} {self.load.head}".encode())

    def data_received(self, data):
        self.buffer += data
        if self.complete():
            self.load.answered(self.path, self.buffer, time.perf_counter() - self.asked)
            self.buffer = b""
            self.ask()

    def complete(self):
        head, separator, body = self.buffer.partition(b"\r\n\r\n")
        if not separator:
            return False
        lower = head.lower()
        if b"transfer-encoding: chunked" in lower:
            return body.endswith(b"0\r\n\r\n")
        at = lower.find(b"content-length:")
        if at < 0:
            return lower.startswith(b"http/1.1 304")
        return len(body) >= int(lower[at + 15:].split(b"\r\n", 1)[0])

    def connection_lost(self, _):
        if not self.done.done():
            self.done.set_result(None)


class Load:
    def __init__(self, host, cookie, paths, seconds):
        self.paths, self.seconds = itertools.cycle(paths), seconds
        self.head = f"HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nAccept: text/html\r\nAccept-Encoding: {ACCEPT}\r\n\r\n"
        self.times, self.bytes, self.wrong = [], 0, {}

    def finished(self):
        return time.perf_counter() > self.end

    def answered(self, path, answer, seconds):
        status = answer[9:12]
        if status == b"200":
            self.times.append(seconds)
            self.bytes += len(answer)
        else:
            self.wrong.setdefault(status.decode("ascii", "replace"), path)

    async def run(self, port, connections):
        loop = asyncio.get_running_loop()
        start = time.perf_counter()
        self.end = start + self.seconds
        protocols = [(await loop.create_connection(lambda: Connection(self), "127.0.0.1", port))[1] for _ in range(connections)]
        await asyncio.wait_for(asyncio.gather(*(p.done for p in protocols)), self.seconds + 30)
        self.took = time.perf_counter() - start


def measure(port, cookie, paths, seconds, connections):
    """Answers of one kind of page under load: times in seconds, pages a second, bytes a page."""
    load = Load(f"127.0.0.1:{port}", cookie, paths, seconds)
    asyncio.run(load.run(port, connections))
    if load.wrong or not load.times:
        raise SystemExit(f"wrong answers under load: {load.wrong or 'none at all'}")
    return {"times": load.times, "pages_s": len(load.times) / load.took, "bytes": load.bytes / len(load.times)}
