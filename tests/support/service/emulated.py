"""The service on a socket in front of an emulator; its model id chooses the faults."""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from app.domain.model import Dialect
from app.settings import Settings
from tests.support.servers.uvicorn import serving
from tests.support.service.application import Rig


@dataclass
class Service:
    """A running service, and the emulator's record of its calls."""

    http: httpx.Client
    url: str
    emulator_url: str
    model_id: str

    def ask(self, prompt: str = "Why?", headers: Any = None, **body: Any) -> httpx.Response:
        return self.http.post("/v1/generate", json={"prompt": prompt, **body}, headers=headers)

    @contextmanager
    def stream(self, prompt: str = "Why?", headers: Any = None) -> Iterator[httpx.Response]:
        body = {"prompt": prompt, "stream": True}
        with self.http.stream("POST", "/v1/generate", json=body, headers=headers) as answer:
            yield answer

    def seen(self, model_id: str | None = None) -> list[dict[str, Any]]:
        """Return the emulator's record of the calls to ``model_id``."""
        # The emulator records a call under its model id without the fault suffix.
        asked = {"model_id": (model_id or self.model_id).partition(".")[0]}
        found: list[dict[str, Any]] = httpx.get(
            f"{self.emulator_url}/_emulator/requests", params=asked
        ).json()["requests"]
        return found

    def outcome(self) -> str:
        """Wait until the only call has ended, for at most a minute, and return its outcome."""
        until = time.monotonic() + 60
        while True:
            (call,) = self.seen()
            if call["outcome"] != "running" or time.monotonic() > until:
                return str(call["outcome"])
            time.sleep(0.02)


def timeout_for(code: str) -> float:
    """Return the seconds without a byte after which a call that is to end with ``code`` fails.

    Few only where silence is the fault: a loaded machine may be silent as long.
    """
    return 0.5 if code == "upstream_timeout" else 20


def model_arn(fault: str = "", kind: str = "provisioned-model") -> str:
    """Return a model id that no other test uses, with ``fault`` behind it.

    Provisioned throughput serves the foundation model; an imported one sees pictures in the body
    of a chat completion only.
    """
    name = f"{uuid.uuid4().hex[:12]}{'.' if fault else ''}{fault}"
    return f"arn:aws:bedrock:us-west-2:123456789012:{kind}/{name}"


def model_kind(dialect: Dialect) -> str:
    """Return a kind of model whose dialect is ``dialect`` or can be set to it."""
    return "imported-model" if dialect is Dialect.CHAT else "provisioned-model"


@contextmanager
def running(
    emulator_url: str, fault: str = "", dialect: Dialect = Dialect.INVOKE, **options: Any
) -> Iterator[Service]:
    """Run a service whose model has ``fault``."""
    model_id = model_arn(fault, model_kind(dialect))
    settings = Settings(
        _env_file=None, endpoint_url=emulator_url, model_id=model_id, dialect=dialect, **options
    )
    with (
        serving(Rig(model=None, settings=settings).app()) as url,
        httpx.Client(base_url=url, timeout=30) as http,
    ):
        yield Service(http, url, emulator_url, model_id)
