"""Batches beside interactive load: their speed, their memory, and the effect on others.

    python -m bench.soak.batches [--text 10000] [--pictures 2000] [--postgres-url URL]

The service is a process bound to one core; the emulator, with a fixed answer, and the caller share
another. First interactive callers ask as fast as they are answered, as many as rows may be under
way; then the same requests go as rows of a batch. Beside a running batch a few interactive requests
are sent each second; their latency is compared with that of the same alone.
"""

import argparse
import asyncio
import base64
import json
import tempfile
import time
from contextlib import closing
from typing import Any

import httpx
import uvloop

from bench import report
from bench.soak.load import Caller, Reply, post
from bench.soak.service import Rig, rig
from fixtures.images import encoded, photo

PATH = "/v1/generate"
TEXT = {"prompt": "Describe the sea in two sentences.", "max_gen_len": 64}
CONCURRENCY = 32
PROBES = 20
"""Interactive requests a second beside a batch."""


def picture() -> dict[str, Any]:
    picture = encoded(photo(), "JPEG", quality=85)
    return {**TEXT, "images": [base64.b64encode(picture).decode()]}


def rows(body: dict[str, Any], count: int) -> bytes:
    return b"".join(
        json.dumps({"custom_id": str(n), "method": "POST", "url": PATH, "body": body}).encode()
        + b"\n"
        for n in range(count)
    )


def p99(replies: list[Reply]) -> float:
    ordered = sorted(reply.seconds for reply in replies if reply.status == 200)
    return ordered[int(len(ordered) * 0.99)] if ordered else 0.0


async def finished(client: httpx.AsyncClient, batch: str, rig: Rig, memory: list[float]) -> Any:
    while True:
        memory.append(rig.memory_mib())
        shown = (await client.get(f"/v1/batches/{batch}")).json()
        if shown["status"] in ("completed", "failed", "expired", "cancelled"):
            return shown
        # A quarter of a second would be a tenth of what two thousand rows take.
        await asyncio.sleep(0.05)


async def batch(rig: Rig, body: dict[str, Any], count: int) -> dict[str, Any]:
    """Run one batch with probes beside it, and one without."""
    ask = post(PATH, TEXT, rig.key)
    headers = {"X-API-Key": rig.key}
    with closing(Caller(rig.url)) as caller:
        await caller.press(post(PATH, body, rig.key), CONCURRENCY, 2)  # warm up
        cpu = rig.cpu_seconds()
        pressed = await caller.press(post(PATH, body, rig.key), CONCURRENCY, 5)
        interactive = sum(reply.status == 200 for reply in pressed)
        interactive_cpu = (rig.cpu_seconds() - cpu) / max(1, interactive)
        alone = await caller.offer(ask, PROBES, 10)
        async with httpx.AsyncClient(base_url=rig.url, headers=headers, timeout=60) as client:
            uploaded = await client.post(
                "/v1/files",
                data={"purpose": "batch"},
                files={"file": ("rows.jsonl", rows(body, count))},
            )
            made = {"input_file_id": uploaded.json()["id"], "endpoint": PATH}
            memory: list[float] = []
            cpu = rig.cpu_seconds()
            first = (await client.post("/v1/batches", json=made)).json()
            began = time.monotonic()
            shown = await finished(client, first["id"], rig, memory)
            seconds = time.monotonic() - began
            cpu = rig.cpu_seconds() - cpu
            second = (await client.post("/v1/batches", json=made)).json()
            running = asyncio.create_task(finished(client, second["id"], rig, memory))
            await asyncio.sleep(1)
            beside: list[Reply] = []
            while not running.done() and len(beside) < PROBES * 20:
                beside += await caller.offer(ask, PROBES, 1)
            if not running.done():
                await client.post(f"/v1/batches/{second['id']}/cancel")
            await running
    rate = count / seconds
    steady = memory[len(memory) // 4 :]
    return {
        "rows": count,
        "status": shown["status"],
        "counts": shown["request_counts"],
        "rows /s": round(rate, 1),
        "interactive /s": round(interactive / 5, 1),
        "of interactive": round(rate / (interactive / 5), 2),
        "CPU a row, ms": round(1000 * cpu / count, 3),
        "CPU an interactive request, ms": round(1000 * interactive_cpu, 3),
        "memory MiB": {
            "least": round(min(steady), 1),
            "most": round(max(steady), 1),
            "grown": round(max(steady) - min(steady), 1),
        },
        "interactive p99 ms, alone": round(1000 * p99(alone), 1),
        "interactive p99 ms, beside a batch": round(1000 * p99(beside), 1),
        "p99 beside / alone": round(p99(beside) / max(1e-9, p99(alone)), 2),
        "probes beside": len(beside),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--text", type=int, default=10_000, help="rows of text")
    parser.add_argument("--pictures", type=int, default=2_000, help="rows with a picture each")
    parser.add_argument("--postgres-url", help="keep the queue there rather than in a file")
    parser.add_argument("--upstream-ms", type=int, default=20)
    given = parser.parse_args()
    engine = "postgres" if given.postgres_url else "sqlite"
    found: dict[str, Any] = {"queue": engine, "upstream ms": given.upstream_ms}
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        settings = {"data_directory": folder, "batch_concurrency": str(CONCURRENCY)}
        if given.postgres_url:
            settings |= {"queue_store": engine, "postgres_url": given.postgres_url}
        with rig(f"first-token-{given.upstream_ms}ms", **settings) as it:
            if given.text:
                found["text"] = uvloop.run(batch(it, TEXT, given.text))
            if given.pictures:
                found["pictures"] = uvloop.run(batch(it, picture(), given.pictures))
    found["seconds"] = round(time.monotonic() - began, 1)
    report.write(f"batches-{engine}", found)


if __name__ == "__main__":
    main()
