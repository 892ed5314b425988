"""``python -m bench.soak.uploads``: 64 uploads of 10 MB at once, each another picture, over HTTP.

Start the service first (``make run``). Prints how many were answered, the service's peak resident
memory with its workers (Linux), and how long health checks from a process of their own took.
"""

import argparse
import asyncio
import multiprocessing
import subprocess
import time
from collections import Counter

import httpx

from bench import process
from bench.micro.images import ten_megabytes

UPLOADS = 64


def watch(url: str, done: "multiprocessing.synchronize.Event") -> None:
    took = []
    with httpx.Client(base_url=url, trust_env=False) as client:
        while not done.is_set():
            started = time.perf_counter()
            client.get("/healthz")
            took.append(time.perf_counter() - started)
            time.sleep(0.005)
    took.sort()
    p99, most = took[int(len(took) * 0.99)] * 1000, took[-1] * 1000
    print(f"health checks: {len(took)}, p99 {p99:.1f} ms, longest {most:.1f} ms")


async def upload(url: str, data: bytes) -> Counter[int]:
    limits = httpx.Limits(max_connections=UPLOADS)
    async with httpx.AsyncClient(
        base_url=url, timeout=120, limits=limits, trust_env=False
    ) as client:

        async def one(number: int) -> int:
            # Trailing bytes make it another picture to the cache, and the same to the decoder.
            file = ("photo.jpg", data + number.to_bytes(4), "image/jpeg")
            return (await client.post("/v1/images/prepare", files={"image": file})).status_code

        return Counter(await asyncio.gather(*(one(number) for number in range(UPLOADS))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    url = parser.parse_args().url
    found = subprocess.run(["pgrep", "-f", "app serve"], capture_output=True, text=True, check=True)
    data = ten_megabytes()
    context = multiprocessing.get_context("spawn")
    done = context.Event()
    watcher = context.Process(target=watch, args=(url, done))
    watcher.start()
    started = time.perf_counter()
    statuses = asyncio.run(upload(url, data))
    elapsed = time.perf_counter() - started
    done.set()
    watcher.join()
    pid = int(found.stdout.split()[0])
    peaks = [process.high_water_mib(each) for each in (pid, *process.workers(pid))]
    print(f"{UPLOADS} uploads of {len(data) / 1e6:.1f} MB in {elapsed:.1f} s: {dict(statuses)}")
    print(f"peak resident memory: {sum(peaks):.0f} MiB ({' + '.join(f'{p:.0f}' for p in peaks)})")


if __name__ == "__main__":
    main()
