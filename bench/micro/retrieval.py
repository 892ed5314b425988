"""The time and CPU that retrieval adds to a call, with a knowledge base that answers at once.

    python -m bench.micro.retrieval [--seconds 5]

The service runs in production's form on one core. A stand-in on another answers both for the model
and for the knowledge base, byte for byte what the emulator answered before: five chunks, and a text
with two markers. One request at a time; the rounds of all kinds take turns.
"""

import argparse
import http.client
import json
import os
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from bench import process, report
from bench.peers import gateways, recording
from fixtures.process import running

ROUNDS = 4
WARM_UP = 20
BASE = "SAMPLEKB01"
ANSWER = "A day ticket costs 7.20 euros [1]. A single ticket costs 2.80 euros [1]."
QUESTION = "How much is a day ticket of the tram?"
RETRIEVED = {
    "retrievalQuery": {"text": "tram ticket euros harbour closed"},
    "retrievalConfiguration": {
        "vectorSearchConfiguration": {
            "numberOfResults": 5,
            "filter": {"in": {"key": "topic", "value": ["prices", "rules", "service"]}},
        }
    },
}
_RAG = {"knowledge_base": "sample", "question": QUESTION}
KINDS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "text": ("/v1/generate", {"prompt": QUESTION}),
    "retrieve": ("/v1/rag/query", {**_RAG, "mode": "retrieve"}),
    "answer": ("/v1/rag/query", _RAG),
    "stream": ("/v1/rag/query", {**_RAG, "stream": True}),
}
TEXTS = {"notEquals": {"key": "topic", "value": "nothing"}}


@dataclass(slots=True)
class Taken:
    """The time and CPU of one kind of request."""

    seconds: list[float] = field(default_factory=list)
    cpu: float = 0
    """Seconds."""


def record(folder: Path) -> int:
    """Write the stand-in's replies into ``folder``; return the chunks of the knowledge base."""
    command = ("app.emulator", "--port", "0", "--fixed-answer", ANSWER)
    with running(*command) as emulator:
        native = {"prompt": recording.PROMPT, "max_gen_len": 256, "temperature": 0}
        for operation in ("invoke", "invoke-with-response-stream"):
            reply = recording.ask(emulator.url, operation, json.dumps(native).encode())
            (folder / operation).write_bytes(reply)
        reply = recording.ask_path(
            emulator.url, f"/knowledgebases/{BASE}/retrieve", json.dumps(RETRIEVED).encode()
        )
    (folder / "retrieve").write_bytes(reply)
    found = json.loads(reply.partition(b"\r\n\r\n")[2])["retrievalResults"]
    return len(found)


def measured(url: str, key: str, pid: int, seconds: float) -> dict[str, Taken]:
    """Ask for ``seconds`` of each kind, in rounds."""
    address = urlsplit(url)
    taken = {name: Taken() for name in KINDS}
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    for name, (path, body) in KINDS.items():
        for _ in range(WARM_UP):
            _ask(connection, path, body, headers, name)
    for _ in range(ROUNDS):
        for name, (path, body) in KINDS.items():
            used, end = process.cpu_seconds(pid), time.perf_counter() + seconds / ROUNDS
            while (began := time.perf_counter()) < end:
                _ask(connection, path, body, headers, name)
                taken[name].seconds.append(time.perf_counter() - began)
            taken[name].cpu += process.cpu_seconds(pid) - used
    connection.close()
    return taken


def _ask(
    connection: http.client.HTTPConnection,
    path: str,
    body: dict[str, Any],
    headers: dict[str, str],
    name: str,
) -> None:
    connection.request("POST", path, json.dumps(body), headers)
    answer = connection.getresponse()
    content = answer.read()
    expected = b"7.20 euros" if name != "retrieve" else b'"used"'
    if answer.status != 200 or expected not in content:
        raise SystemExit(f"{name}: {answer.status} {content[:300]!r}")


def results(taken: Mapping[str, Taken]) -> dict[str, Any]:
    """Return p50 and CPU of each kind, and their difference to a text."""
    rows: dict[str, dict[str, float]] = {}
    for name, each in taken.items():
        middle = report.quantile(each.seconds, 0.5) or 0
        rows[name] = {
            "p50_ms": round(middle * 1000, 2),
            "cpu_ms": round(each.cpu / len(each.seconds) * 1000, 2),
            "requests": len(each.seconds),
        }
    text = rows["text"]
    for row in rows.values():
        for figure in ("p50_ms", "cpu_ms"):
            row[f"added_{figure}"] = round(row[figure] - text[figure], 2)
    return rows


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=5, help="of each kind")
    given = options.parse_args()
    cores = process.cores()
    os.sched_setaffinity(0, {cores[-1]})
    with TemporaryDirectory() as folder, ExitStack() as stack:
        chunks = record(Path(folder))
        upstream = stack.enter_context(running("bench.peers.upstream", folder))
        settings = {
            "RETRIEVAL_ENDPOINT_URL": upstream.url,
            "KNOWLEDGE_BASES": json.dumps({"sample": {"id": BASE, "filter": TEXTS}}),
        }
        with process.on_core(cores[0]):
            served = gateways.service(upstream.url, options=settings)
            service, key = stack.enter_context(served)
        taken = measured(service.url, key, service.process.pid, given.seconds)
    report.write("retrieval", {"chunks": chunks, **results(taken)})


if __name__ == "__main__":
    main()
