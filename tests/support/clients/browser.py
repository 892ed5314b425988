"""Headless Chromium, on a page that posts back its script's result."""

import json
import queue
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse

from tests.support.programs.installed import chromium
from tests.support.servers.uvicorn import serving

OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-popup-blocking",
    # The page with the script may be in the background, where timers run once a second.
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
    # A page that contacts another host fails, and the test with it.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    "--no-proxy-server",
)
SECONDS = 100
Front = Callable[[str], AbstractContextManager[str]]
PAGE = """<!doctype html><title>test</title><script type="module">
async function seen() {{ {script} }}
const report = await seen().catch((error) => ({{ error: String(error) }}));
await fetch("/test/report", {{ method: "PUT", body: JSON.stringify(report) }});
</script>"""


def visited(app: FastAPI, script: str, front: Front = nullcontext, *options: str) -> Any:
    """Serve ``app`` with a page that runs ``script``, visit it, and return its result.

    ``front`` yields the address of a proxy in front of the app's; ``options`` are Chromium's.
    """
    reports = _with_page(app, lambda: script)
    with serving(app) as url, front(url) as reached:
        return _report(reached, reports, *options)


def visited_from_elsewhere(make_app: Callable[[str], FastAPI], script: str) -> Any:
    """Visit a page of another origin, for which ``make_app`` makes the service.

    In ``script`` the service's address is ``SERVICE``.
    """
    page = FastAPI()
    address: list[str] = []
    reports = _with_page(page, lambda: script.replace("SERVICE", address[0]))
    with serving(page) as origin, serving(make_app(origin)) as service:
        address.append(service)
        return _report(origin, reports)


def _with_page(app: FastAPI, script: Callable[[], str]) -> "queue.Queue[Any]":
    reports: queue.Queue[Any] = queue.Queue()

    async def page() -> HTMLResponse:
        return HTMLResponse(PAGE.format(script=script()))

    async def report(request: Request) -> None:
        reports.put(json.loads(await request.body()))

    app.add_api_route("/test/page", page)
    # Not a POST route: the service compiles those and supports only what its own need.
    app.add_api_route("/test/report", report, methods=["PUT"])
    return reports


def _report(url: str, reports: "queue.Queue[Any]", *options: str) -> Any:
    with _chromium(f"{url}/test/page", *options):
        found = reports.get(timeout=SECONDS)
    assert "error" not in found, found
    return found


@contextmanager
def _chromium(url: str, *options: str) -> Iterator[None]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [
                chromium(), *OPTIONS, *options, f"--user-data-dir={profile}",
                "--remote-debugging-port=0", url,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
