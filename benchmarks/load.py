"""Many clients at a served model, some of them ill-mannered: who is answered, and what is left.

python -m benchmarks.load --speech FOLDER --checkpoint MODEL        (needs locust)
"""

from __future__ import annotations

try:
    import gevent
    from locust import HttpUser, constant, task
    from locust.env import Environment
except ImportError as error:  # locust patches the sockets, so it comes before everything else
    raise SystemExit(f"{error.name} is missing: pip install locust") from error

import argparse
import itertools
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.report import report

KINDS = ("good", "good", "good", "good", "good", "good", "garbage", "cut", "oversized", "gone")
OVERSIZED = bytes(3_000_000)
told: Counter[str] = Counter()
latencies: list[float] = []
numbers = itertools.count()


class Client(HttpUser):
    """Asks for one thing after the other, good ones until they are answered."""

    wait_time = constant(0)
    files: list[Path]
    total = 0

    @task
    def ask(self) -> None:
        number = next(numbers)
        if number >= self.total:
            gevent.sleep(600)  # the others may still be at it
        kind = KINDS[number % len(KINDS)]
        data = self.files[number % len(self.files)].read_bytes()
        if kind == "gone":
            self.leave(data)
        elif kind == "good":
            start = time.perf_counter()
            while (status := self.send(data)) == 429:
                told["asked to come again"] += 1
                gevent.sleep(1 + random.random())
            latencies.append(time.perf_counter() - start)
            self.note(kind, status == 200, status)
        elif kind == "garbage":
            status = self.send(random.randbytes(20_000), again=True)
            self.note(kind, status == 422, status)
        elif kind == "cut":
            status = self.send(data[: len(data) // 2], again=True)
            self.note(kind, status == 422, status)
        else:
            self.note(kind, (status := self.send(OVERSIZED)) == 413, status)

    def send(self, data: bytes, *, again: bool = False) -> int:
        """The status of the answer."""
        while True:
            with self.client.post(
                "/transcribe", files={"file": ("a.flac", data)}, catch_response=True
            ) as answer:
                answer.success()
                if answer.status_code == 200 and "text" not in answer.json():
                    return -1
                if answer.status_code != 429 or not again:
                    return int(answer.status_code)
            gevent.sleep(1 + random.random())

    def note(self, kind: str, expected: bool, status: int) -> None:
        told[f"{kind}: as expected" if expected else f"{kind}: {status}"] += 1

    def leave(self, data: bytes) -> None:
        """Begin to upload and go away."""
        place = urlsplit(self.host)
        with socket.create_connection((place.hostname, place.port)) as connection:
            head = (
                f"POST /transcribe HTTP/1.1\r\nHost: {place.netloc}\r\n"
                f"Content-Type: multipart/form-data; boundary=x\r\n"
                f"Content-Length: {len(data) + 500}\r\n\r\n"
            )
            part = '--x\r\nContent-Disposition: form-data; name="file"; filename="a.flac"\r\n\r\n'
            connection.sendall((head + part).encode() + data[: len(data) // 2])
        told["gone: as expected"] += 1


def memory(process: int) -> float:
    """MiB that a process holds."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


def run(clients: int) -> float:
    """Seconds until everything was asked."""
    start = time.perf_counter()
    environment = Environment(user_classes=[Client])
    runner = environment.create_local_runner()
    runner.start(clients, spawn_rate=clients)
    while sum(told.values()) - told["asked to come again"] < Client.total:
        gevent.sleep(0.05)
    took = time.perf_counter() - start
    runner.quit()
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speech", type=Path, required=True, help="folder with recordings")
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--requests", type=int, default=300, help="(default: %(default)s)")
    parser.add_argument("--clients", type=int, default=20, help="(default: %(default)s)")
    options = parser.parse_args()
    Client.files = sorted(options.speech.rglob("*.flac"))[:40]
    with tempfile.TemporaryDirectory() as temporary:
        environment = {**os.environ, "TMPDIR": temporary}
        environment.pop("PYTHONPATH", None)
        command = [sys.executable, "scripts/serve.py", "--port", "0", "--max-upload-mb", "2"]
        with subprocess.Popen(
            [*command, "--checkpoint", options.checkpoint],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        ) as server:
            assert server.stdout is not None
            Client.host = server.stdout.readline().strip()
            Client.total = 40
            run(options.clients)  # what is allocated and compiled once
            opened = Path(f"/proc/{server.pid}/fd")
            before, files_before = memory(server.pid), len(list(opened.iterdir()))
            told.clear()
            latencies.clear()
            globals()["numbers"] = itertools.count()
            Client.total = options.requests
            took = run(options.clients)
            time.sleep(1)
            alive = server.poll() is None
            after, files_after = memory(server.pid), len(list(opened.iterdir()))
            left = [each.name for each in Path(temporary).iterdir()]
            server.terminate()
    ordered = sorted(latencies)
    answered = told["good: as expected"]
    good = sum(KINDS[number % len(KINDS)] == "good" for number in range(options.requests))
    print(
        report(
            "load",
            ours=answered,
            theirs=good,
            unit="good requests answered, of those asked",
            packages=("torch", "fastapi", "uvicorn", "locust"),
            clients=options.clients,
            requests=options.requests,
            told=dict(sorted(told.items())),
            seconds=round(took, 1),
            latency_s={
                "50": round(ordered[len(ordered) // 2], 2),
                "95": round(ordered[int(0.95 * len(ordered))], 2),
            },
            alive=alive,
            memory_mib=[before, after],
            open_files=[files_before, files_after],
            temporary_files_left=left,
        )
    )


if __name__ == "__main__":
    main()
