"""The stored form of jobs on the queue: a line of JSON, then a body's bytes unchanged. Pure."""

from dataclasses import dataclass
from typing import Any

import orjson

from app.domain.job import JobAnswer, JobEvent, JobRequest
from app.services.access import kept_caller

VERSION = 1


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts that are stored about a job beside its request."""

    path: str
    webhook: str | None = None
    ended_at: float | None = None


def request(job: JobRequest) -> bytes:
    """Return the stored form of ``job``."""
    head = {
        "version": VERSION,
        "path": job.path,
        "headers": dict(job.headers),
        "request_id": job.request_id,
        "webhook": job.webhook,
        "caller": {"id": job.caller.id, **kept_caller.written(job.caller)},
    }
    return _joined(head, job.body)


def read_request(kept: bytes) -> JobRequest:
    """Return the job stored in ``kept``."""
    head, body = _parted(kept)
    caller = head["caller"]
    return JobRequest(
        head["path"],
        head["headers"],
        body,
        head["request_id"],
        kept_caller.read(caller["id"], caller),
        head["webhook"],
    )


def answer(job_answer: JobAnswer, ended_at: float) -> bytes:
    """Return the stored form of an answer."""
    head = {"status": job_answer.status, "media_type": job_answer.media_type, "ended_at": ended_at}
    return _joined(head, job_answer.body)


def read_answer(kept: bytes) -> tuple[JobAnswer, float]:
    """Return the answer stored in ``kept``, and the job's end in seconds since the epoch."""
    head, body = _parted(kept)
    return JobAnswer(head["status"], head["media_type"], body), head["ended_at"]


def event(name: str, data: bytes) -> bytes:
    """Return the stored form of an event."""
    return _joined({"name": name}, data)


def read_event(position: int, kept: bytes) -> JobEvent:
    """Return the event stored in ``kept``."""
    head, data = _parted(kept)
    return JobEvent(position + 1, head["name"], data)


def paid(key: str, answer: bytes) -> bytes:
    """Return the stored form of a paid answer to the question ``key``."""
    return _joined({"key": key}, answer)


def read_paid(kept: bytes) -> tuple[str, bytes]:
    """Return the question's key and the answer stored in ``kept``."""
    head, answer = _parted(kept)
    return head["key"], answer


def facts(about: Facts) -> bytes:
    """Return the stored form of a job's facts."""
    return orjson.dumps(about)


def read_facts(kept: bytes) -> Facts:
    """Return the facts stored in ``kept``."""
    return Facts(**orjson.loads(kept))


def _joined(head: dict[str, Any], body: bytes) -> bytes:
    return orjson.dumps(head) + b"\n" + body


def _parted(kept: bytes) -> tuple[dict[str, Any], bytes]:
    head, _, body = kept.partition(b"\n")
    return orjson.loads(head), body
