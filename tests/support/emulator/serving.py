"""Emulators on real sockets, and AWS's clients of them."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import boto3
import httpx
from botocore.config import Config

from app.emulator.app import create_emulator
from app.emulator.config import EmulatorConfig
from tests.support.emulator.service_shapes import operation, violations
from tests.support.servers.uvicorn import serving as serving_app

OPENED: list[Any] = []
"""Clients to close after a test."""
KEYS = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "wJalrXUtnFEMI"}


@dataclass(frozen=True)
class Served:
    """A running emulator."""

    url: str

    def client(self, service: str = "bedrock-runtime", **more: Any) -> Any:
        """Return a boto3 client that checks every JSON body against the service model."""
        config = Config(retries={"total_max_attempts": 1}, read_timeout=90).merge(
            more.pop("config", Config())
        )
        arguments = {"region_name": "us-east-1", **KEYS, **more}
        made = boto3.client(service, endpoint_url=self.url, config=config, **arguments)
        made.meta.events.register(f"before-parse.{service}", partial(_conforms, service))
        OPENED.append(made)
        return made

    def admin(self, method: str, path: str, **more: Any) -> Any:
        """Return the JSON of an admin endpoint."""
        reply = httpx.request(method, f"{self.url}/_emulator/{path}", **more)
        reply.raise_for_status()
        return reply.json()

    def record(self, model_id: str) -> dict[str, Any]:
        """Return the emulator's record of the requests for a model id."""
        found: dict[str, Any] = self.admin("GET", "requests", params={"model_id": model_id})
        return found

    def until(self, model_id: str, outcome: str, seconds: float = 10) -> dict[str, Any]:
        """Wait until a request for the model id has this outcome, and return the record.

        With ``active`` it is in progress; with any other outcome none is any more.
        """
        end = time.monotonic() + seconds
        while True:
            record = self.record(model_id)
            # The client may have its answer before the emulator counts it.
            reached = record[outcome] and (outcome == "active" or not record["active"])
            if reached or time.monotonic() >= end:
                return record
            time.sleep(0.02)


def _conforms(service: str, operation_model: Any, response_dict: dict[str, Any], **_: Any) -> None:
    operation_model = operation(service, operation_model.name, operation_model)
    shape = operation_model.output_shape
    payload = shape.serialization.get("payload")
    if (
        response_dict["status_code"] not in (200, 201)
        or payload
        or operation_model.has_event_stream_output
    ):
        return
    found = violations(shape, json.loads(response_dict["body"]))
    assert not found, found


@contextmanager
def serving(config: EmulatorConfig | None = None) -> Iterator[Served]:
    """Serve an emulator in a thread, on a free port."""
    options = {"loop": "uvloop", "lifespan": "on", "proxy_headers": False}
    with serving_app(create_emulator(config), timeout_graceful_shutdown=1, **options) as url:
        yield Served(url)
