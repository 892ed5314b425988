"""The gateways side by side: each started on its core, in front of the same upstream."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from app.settings import PREFIX
from bench import fetch, process
from bench.peers import dialects
from bench.peers.dialects import Dialect
from bench.peers.recording import MODEL
from bench.peers.run import CHAT, LITELLM, NAIVE, OURS
from bench.peers.workloads import Identity
from fixtures.process import ROOT, Running, clean, free_port, running

LITELLM_CONFIG = Path(__file__).parent / "litellm" / "config.yaml"
LITELLM_KEY, LITELLM_MODEL = "sk-bench", "llama-vision"
START_SECONDS = 120
LINE_LENGTH = 200
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_LITELLM_OPTIONS = ("--config", str(LITELLM_CONFIG), "--host", "127.0.0.1", "--num_workers", "1")
BEARER = "AWS_BEARER_TOKEN_BEDROCK"
CREDENTIALS = {
    Identity.SIGNED: {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"},
    Identity.API_KEY: {BEARER: "bench"},
}
"""Environments of gateways."""
LIMITS = {"requests": "1000000000/hour", "tokens": "1000000000000/hour", "spend": "1000000/hour"}
"""Counted for every request, never reached."""


class UnavailableError(Exception):
    """A gateway is not available here; the text says why."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running gateway."""

    name: str
    url: str
    dialect: Dialect
    pid: int
    identity: Identity | None = None
    """None for a gateway without one."""
    metrics_key: str | None = None
    """Opens its ``/metrics``, where it has the event loop's lag."""


Starter = Callable[[str, Identity], AbstractContextManager[Gateway]]
"""Starts a gateway in front of the upstream at an address."""


@contextmanager
def service(
    upstream: str, identity: Identity = Identity.SIGNED, options: Mapping[str, str] | None = None
) -> Iterator[tuple[Running, str]]:
    """Run this service as in production: keys, limits, JSON logs to a file, metrics, usage.

    ``options`` are further settings. Yields it and an API key.
    """
    with TemporaryDirectory() as folder:
        keys = Path(folder, "keys.json")
        key = new_key(keys)
        settings = {
            "port": "0",
            "endpoint_url": upstream,
            "keys_file": str(keys),
            "usage_file": str(Path(folder, "usage.sqlite3")),
            "limits": json.dumps(LIMITS),
            **(options or {}),
        }
        environment = {f"{PREFIX}{name.upper()}": value for name, value in settings.items()}
        environment |= CREDENTIALS[identity]
        with running("app", "serve", environment=environment) as it:
            yield it, key


@contextmanager
def ours(upstream: str, identity: Identity) -> Iterator[Gateway]:
    """This service."""
    with service(upstream, identity) as (it, key):
        pid = it.process.pid
        yield Gateway(OURS, it.url, dialects.ours(key), pid, identity, metrics_key=key)


def in_openais_dialect(gateway: Gateway) -> Gateway:
    """Return this service, asked in the dialect in which LiteLLM is."""
    assert gateway.metrics_key is not None
    return replace(gateway, name=CHAT, dialect=dialects.chat(gateway.metrics_key, MODEL))


def new_key(file: Path, name: str = "bench") -> str:
    """Add a key for the model, for metrics and for documents to ``file``, and return it."""
    command = [sys.executable, "-m", "app", "keys", "--file", str(file), "create", name]
    names = ("generate", "metrics", "files", "batches", "rag")
    scopes = [word for scope in names for word in ("--scope", scope)]
    made = subprocess.run(
        [*command, *scopes], cwd=ROOT, env=clean(), capture_output=True, text=True, check=True
    )
    return made.stdout.strip()


@contextmanager
def naive(upstream: str, identity: Identity) -> Iterator[Gateway]:
    """`bench.peers.baseline`."""
    environment = {"NAIVE_ENDPOINT_URL": upstream, **CREDENTIALS[identity]}
    with running("bench.peers.baseline", environment=environment) as it:
        yield Gateway(NAIVE, it.url, dialects.naive(), it.process.pid, identity)


@contextmanager
def litellm(upstream: str, identity: Identity) -> Iterator[Gateway]:
    """LiteLLM's proxy, of the virtual environment that `make bench` made for it."""
    command = _litellm()
    port = free_port()
    environment = {
        **clean(),
        **CREDENTIALS[identity],
        "BENCH_UPSTREAM": upstream,
        # Its price list is in the package; without this it asks the internet for a newer one.
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    with TemporaryDirectory() as folder, Path(folder, "log").open("wb") as log:
        started = subprocess.Popen(
            [command, *_LITELLM_OPTIONS, "--port", str(port)],
            env=environment,
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(started, f"{url}/health/liveliness", Path(folder, "log"))
            dialect = dialects.chat(LITELLM_KEY, LITELLM_MODEL)
            yield Gateway(LITELLM, url, dialect, started.pid, identity)
        finally:
            started.terminate()
            try:
                started.wait(timeout=20)
            except subprocess.TimeoutExpired:
                started.kill()
                started.wait()


def litellm_version() -> str:
    """Return the installed version, or a word for none."""
    found = _litellm_folder().glob("lib/*/site-packages/litellm-*.dist-info")
    return next((each.name.split("-")[1].removesuffix(".dist") for each in found), "not installed")


def _litellm_folder() -> Path:
    # It is started in a folder of its own, where a relative path leads nowhere.
    return Path(os.environ.get("LITELLM_VENV", f"{sys.prefix}-litellm")).absolute()


def _litellm() -> str:
    command = shutil.which("litellm", path=_litellm_folder() / "bin")
    if command is None:
        raise UnavailableError("it is not installed")
    return command


def _wait(started: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and started.poll() is None:
        try:
            fetch.get(url, seconds=5)
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise UnavailableError(f"it did not start: {last_line(log.read_text(errors='replace'))}")


def last_line(log: str) -> str:
    """Return the last line that is not blank, without colours, cut to a table's room."""
    lines = [line.strip() for line in _COLOUR.sub("", log).splitlines()]
    return next((line for line in reversed(lines) if line), "it said nothing")[:LINE_LENGTH]


STARTERS: dict[str, Starter] = {OURS: ours, NAIVE: naive, LITELLM: litellm}


@contextmanager
def started(name: str, upstream: str, identity: Identity, core: int) -> Iterator[Gateway]:
    """Run a gateway with all its processes on ``core``.

    Raises `UnavailableError` where it is not available.
    """
    with ExitStack() as stack:
        with process.on_core(core):
            gateway = stack.enter_context(STARTERS[name](upstream, identity))
        yield gateway
