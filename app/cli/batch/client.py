"""Sends one file to the service, and retries errors that may pass."""

import asyncio
import contextlib
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from app.cli.batch.folder import shown
from app.cli.batch.row import FACTS, Row

ATTEMPTS = 6
"""Attempts for a row whose error may pass."""
LONGEST_WAIT = 30.0
"""Maximum seconds between two attempts."""
PATIENCE = ("model_loading", "rate_limited", "service_overloaded")
"""Codes of errors that are retried without limit, as the model was not called."""
TIMEOUT = httpx.Timeout(30, read=900)


class ServiceUnusableError(Exception):
    """The service can't be used for any file; the message says why."""


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """A task as the service describes it."""

    name: str
    path: str
    documents: bool
    required: tuple[str, ...] = ()
    """Names of its required parameters."""


@dataclass(frozen=True, slots=True)
class BatchClient:
    """Runs one task of one service, with the same parameters for each file."""

    http: httpx.AsyncClient
    task: TaskInfo
    parameters: Mapping[str, str]
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when no more requests may be sent."""

    async def ask(self, name: str, path: Path) -> Row | None:
        """Return the file's row; None if it needs another attempt and the run is stopping.

        Raises ServiceUnusableError if the service can't be used for any file.
        """
        attempt = 0
        while True:
            attempt += 1
            try:
                answer = await self._post(path)
            except OSError as error:
                return self._failed(name, "file_unreadable", error.strerror or str(error))
            except httpx.TransportError as error:
                if attempt >= ATTEMPTS:
                    raise ServiceUnusableError(f"the service can't be reached: {error}") from error
                if await self._stopped(_backoff(attempt)):
                    return None
                continue
            body = _object(answer)
            code = str(body.get("code", ""))
            # Every other file would fail alike: the key and the parameters are the same.
            if answer.status_code in (401, 403) or code in ("not_found", "unknown_field"):
                raise ServiceUnusableError(f"{code}: {body.get('detail')}")
            again = code in PATIENCE or (body.get("retryable") is True and attempt < ATTEMPTS)
            if answer.is_success or not again:
                return self._row(name, answer.status_code, body)
            if await self._stopped(_wait(answer, attempt)):
                return None

    async def _stopped(self, seconds: float) -> bool:
        """Wait for ``seconds`` or until the run is stopping, and tell whether it is."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.stopping.wait()
        return self.stopping.is_set()

    async def _post(self, path: Path) -> httpx.Response:
        content = await asyncio.to_thread(path.read_bytes)
        return await self.http.post(
            self.task.path,
            data=dict(self.parameters),
            files={"images": (shown(path.name), content, "application/octet-stream")},
            timeout=TIMEOUT,
        )

    def _failed(self, name: str, code: str, detail: str) -> Row:
        return Row(name, self.task.name, 0, error={"code": code, "detail": detail})

    def _row(self, name: str, status: int, body: dict[str, Any]) -> Row:
        if status != 200:
            error = {"code": body.get("code"), "detail": body.get("detail")}
            return Row(name, self.task.name, status, error=error)
        cost = body.get("cost_usd")
        return Row(
            name,
            self.task.name,
            status,
            body.get("result"),
            cost_usd=cost.get("total") if isinstance(cost, dict) else None,
            facts={fact: body.get(fact) for fact in FACTS},
        )


async def find_task(http: httpx.AsyncClient, name: str) -> TaskInfo:
    """Return the task ``name``, or raise ServiceUnusableError if it can't run on single files."""
    try:
        answer = await http.get("/v1/tasks", timeout=TIMEOUT)
    except httpx.TransportError as error:
        raise ServiceUnusableError(f"{http.base_url} can't be reached: {error}") from error
    body = _object(answer)
    if not answer.is_success:
        raise ServiceUnusableError(f"{body.get('code')}: {body.get('detail')}")
    tasks = {task["name"]: task for task in body.get("tasks", ())}
    alone = {name: task for name, task in tasks.items() if task["least_images"] <= 1}
    if name not in alone:
        reason = "takes several pictures at a time" if name in tasks else "is not served"
        raise ServiceUnusableError(f"the task {name!r} {reason}; there are {', '.join(alone)}")
    task = alone[name]
    required = tuple(task["parameters"].get("required", ()))
    return TaskInfo(name, task["upload_path"], task["documents"], required)


def _object(answer: httpx.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except json.JSONDecodeError:
        body = None
    if isinstance(body, dict):
        return body
    retryable = answer.status_code in (429, 502, 503, 504)
    return {
        "code": f"http_{answer.status_code}",
        "detail": "the answer is not a JSON object: is this the service's address?",
        "retryable": retryable,
    }


def _wait(answer: httpx.Response, attempt: int) -> float:
    asked = answer.headers.get("retry-after", "")
    return min(LONGEST_WAIT, float(asked)) if asked.isdecimal() else _backoff(attempt)


def _backoff(attempt: int) -> float:
    grown = 0.5 * 2.0 ** min(attempt, 10)
    return min(LONGEST_WAIT, grown) * random.uniform(0.8, 1)  # noqa: S311 - no secret
