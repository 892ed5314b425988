"""Counts the Python function calls of one request: a measure of work without a clock.

    python -m bench.micro.calls [--top 30]

The service runs in this process, with all that it has in production, in front of the stand-in
for Bedrock, and is asked over ASGI. Calls of asyncio's own functions are left out: how often its
loop turns is a matter of time.
"""

import argparse
import asyncio
import json
import os
import selectors
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from statistics import median_low
from tempfile import TemporaryDirectory
from types import CodeType, FrameType
from typing import Any

from app import telemetry
from app.adapters.access import key_file
from app.domain import key
from app.domain.access import Scope
from app.main import create_app
from app.settings import Settings
from app.wiring.services import open_services
from bench import photos
from bench.peers import dialects, recording
from bench.peers.gateways import LIMITS
from bench.peers.workloads import Shape, Workload
from bench.photos import Picture
from fixtures.process import enter_clean_environment, running

REQUESTS = 40
"""Of each kind; the median of their counts is shown."""
WARM_UP = 10
"""Requests before the count, for work that is done only once."""
TEXT = Workload("text", "", 1)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of request."""

    dialect: Callable[[str], dialects.Dialect]
    """The dialect of an API key."""
    workload: Workload = TEXT
    picture: Callable[[], Picture] | None = None
    header: str = ""
    """A further one; ``{}`` in it is another number each time."""
    status: int = 200
    body: bytes | None = None
    """In place of the workload's."""


KINDS: Mapping[str, Kind] = {
    "text": Kind(dialects.ours),
    "text, X-Request-Timeout": Kind(dialects.ours, header="X-Request-Timeout: 60"),
    "text, X-Allow-Second-Bill": Kind(dialects.ours, header="X-Allow-Second-Bill: false"),
    "text, Idempotency-Key": Kind(dialects.ours, header="Idempotency-Key: {}"),
    "invalid body": Kind(dialects.ours, status=422, body=b'{"prompt": 1}'),
    "chat": Kind(lambda key: dialects.chat(key, recording.MODEL)),
    "invoke": Kind(lambda key: dialects.aws(key, "invoke")),
    "converse": Kind(lambda key: dialects.aws(key, "converse")),
    "picture": Kind(dialects.ours, picture=photos.fitting_100_kb),
    "upload of 100 KB": Kind(
        dialects.ours, Workload("form", "", 1, Shape.FORM), photos.fitting_100_kb
    ),
    "upload of 3 MB": Kind(dialects.ours, Workload("form", "", 1, Shape.FORM), photos.fitting_3_mb),
    "stream": Kind(dialects.ours, Workload("stream", "", 1, Shape.STREAM)),
}
_LOOP = (os.path.dirname(asyncio.__file__), selectors.__file__)  # noqa: PTH120 - as in code objects

Calls = Counter[CodeType]
Ask = Callable[[bytes, int], Any]


@contextmanager
def counting() -> Iterator[Calls]:
    """Count the calls of Python functions in this thread."""
    calls: Calls = Counter()

    def called(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and not frame.f_code.co_filename.startswith(_LOOP):
            calls[frame.f_code] += 1

    sys.setprofile(called)
    try:
        yield calls
    finally:
        sys.setprofile(None)


async def count(ask: Ask, requests: Iterator[bytes], status: int) -> Calls:
    """Return the calls of a median request that is answered with ``status``."""
    for _ in range(WARM_UP):
        await ask(next(requests), status)
    counted = []
    for _ in range(REQUESTS):
        request = next(requests)
        with counting() as calls:
            await ask(request, status)
        counted.append(calls)
    middle = median_low(calls.total() for calls in counted)
    return next(calls for calls in counted if calls.total() == middle)


@asynccontextmanager
async def service(upstream: str, folder: Path, **more: Any) -> AsyncIterator[tuple[Ask, str]]:
    """Open the service, with ``more`` settings; yields what asks it and an API key."""
    text, record = key.issue("bench", (Scope.GENERATE,), {})
    key_file.write(folder / "keys.json", (record,))
    settings = Settings(
        _env_file=None,
        endpoint_url=upstream,
        keys_file=folder / "keys.json",
        usage_file=folder / "usage.sqlite3",
        limits=LIMITS,
        **more,
    )
    app = create_app(settings, open_services)
    async with app.router.lifespan_context(app) as state:

        async def ask(request: bytes, status: int) -> None:
            await _asgi(app, dict(state or {}), request, status)

        yield ask, text


async def _asgi(app: Any, state: dict[str, Any], request: bytes, status: int) -> None:
    """Ask ``app`` as a server would that has read all of ``request``; the answer has ``status``."""
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    method, path, _ = first.split(b" ")
    pairs = [line.split(b": ", 1) for line in lines]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method.decode(),
        "scheme": "http",
        "path": path.decode(),
        "raw_path": path,
        "query_string": b"",
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in pairs],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
        "state": dict(state),
    }
    incoming = [{"type": "http.request", "body": body, "more_body": False}]
    statuses = []

    async def receive() -> dict[str, Any]:
        if incoming:
            return incoming.pop()
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await app(scope, receive, send)
    if statuses != [status]:
        raise RuntimeError(f"answered with {statuses}")


async def counts(upstream: str) -> dict[str, Calls]:
    """Return the calls of one request of each kind."""
    with TemporaryDirectory() as folder:
        async with service(upstream, Path(folder)) as (ask, api_key):
            return {
                name: await count(ask, requests(kind, api_key), kind.status)
                for name, kind in KINDS.items()
            }


def requests(kind: Kind, api_key: str) -> Iterator[bytes]:
    picture = None if kind.picture is None else kind.picture()
    made = kind.dialect(api_key).requests(kind.workload, picture)
    for number, parts in enumerate(made):
        head, _, body = b"".join(parts).partition(b"\r\n\r\n")
        more = f"\r\n{kind.header.format(number)}".encode() if kind.header else b""
        yield head + more + b"\r\n\r\n" + (body if kind.body is None else kind.body)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--top", type=int, default=0, help="functions called most, of each kind")
    given = options.parse_args()
    enter_clean_environment()
    output, sys.stdout = sys.stdout, StringIO()  # Log lines are written, and not shown.
    telemetry.configure("info")
    with TemporaryDirectory() as folder:
        recording.write(Path(folder))
        with running("bench.peers.upstream", folder) as upstream:
            found = asyncio.run(counts(upstream.url))
    sys.stdout = output
    print(json.dumps({name: calls.total() for name, calls in found.items()}))
    for name, calls in found.items() if given.top else ():
        print(f"\n{name}")
        for code, number in calls.most_common(given.top):
            print(f"{number:6}  {code.co_qualname}  {'/'.join(Path(code.co_filename).parts[-3:])}")


if __name__ == "__main__":
    main()
