"""Jobs as the queue keeps them: a line of JSON, and bytes as they came behind it. Pure."""

from dataclasses import dataclass
from typing import Any

import orjson

from app.domain.job import JobAnswer, JobEvent, JobRequest
from app.services.access import kept_caller

VERSION = 1


@dataclass(frozen=True, slots=True)
class Facts:
    """The data that is kept of a job beside its request."""

    path: str
    webhook: str | None = None
    ended_at: float | None = None


def request(job: JobRequest) -> bytes:
    """Return ``job`` as it is stored."""
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
    """Return the job that ``kept`` keeps."""
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
    """Return an answer as it is stored."""
    head = {"status": job_answer.status, "media_type": job_answer.media_type, "ended_at": ended_at}
    return _joined(head, job_answer.body)


def read_answer(kept: bytes) -> tuple[JobAnswer, float]:
    """Return the answer that ``kept`` keeps, and when the job ended."""
    head, body = _parted(kept)
    return JobAnswer(head["status"], head["media_type"], body), head["ended_at"]


def event(name: str, data: bytes) -> bytes:
    """Return an event as it is stored."""
    return _joined({"name": name}, data)


def read_event(position: int, kept: bytes) -> JobEvent:
    """Return the event that ``kept`` keeps."""
    head, data = _parted(kept)
    return JobEvent(position + 1, head["name"], data)


def paid(key: str, answer: bytes) -> bytes:
    """Return what keeps a paid answer to the question ``key``."""
    return _joined({"key": key}, answer)


def read_paid(kept: bytes) -> tuple[str, bytes]:
    """Return the key of the question and the answer that ``kept`` keeps."""
    head, answer = _parted(kept)
    return head["key"], answer


def facts(about: Facts) -> bytes:
    """Return the facts as they are stored."""
    return orjson.dumps(about)


def read_facts(kept: bytes) -> Facts:
    """Return the facts that ``kept`` keeps."""
    return Facts(**orjson.loads(kept))


def _joined(head: dict[str, Any], body: bytes) -> bytes:
    return orjson.dumps(head) + b"\n" + body


def _parted(kept: bytes) -> tuple[dict[str, Any], bytes]:
    head, _, body = kept.partition(b"\n")
    return orjson.loads(head), body
