"""Writes jobs as JSON, as their schemas describe them."""

from typing import Any

import orjson

from app.domain.job import Job, JobAnswer, JobEvent
from app.domain.webhook import Delivery, DeliveryStatus


def job(job: Job, delivery: Delivery | None) -> bytes:
    """Return a `JobOut` as JSON."""
    return orjson.dumps(outline(job, delivery))


def outline(job: Job, delivery: Delivery | None = None) -> dict[str, Any]:
    """Return the members of a `JobOut`."""
    usage = job.usage
    return {
        "id": job.id,
        "object": "job",
        "status": job.status,
        "path": job.path,
        "created_at": int(job.created_at),
        "ended_at": _seconds(job.ended_at),
        "expires_at": _seconds(job.expires_at),
        "progress": None if job.progress is None else orjson.Fragment(job.progress.data),
        "response": None if job.answer is None else _response(job.answer),
        "usage": {
            "prompt_tokens": usage.prompt_tokens,
            "generation_tokens": usage.generation_tokens,
            "cost_usd": round(usage.cost_usd, 9),
        },
        "webhook": None if job.webhook is None else _webhook(job.webhook, delivery),
    }


def _response(answer: JobAnswer) -> dict[str, Any]:
    is_json = answer.media_type.partition(";")[0].endswith("json")
    body: Any = orjson.Fragment(answer.body) if is_json else answer.body.decode("utf-8", "replace")
    return {"status_code": answer.status, "media_type": answer.media_type, "body": body}


def _webhook(url: str, delivery: Delivery | None) -> dict[str, Any]:
    if delivery is None:
        return {"url": url, "status": DeliveryStatus.PENDING, "attempts": 0, "event_id": None}
    return {
        "url": url,
        "status": delivery.status,
        "attempts": delivery.attempts,
        "event_id": delivery.event.id,
    }


def _seconds(moment: float | None) -> int | None:
    return None if moment is None else int(moment)


def terminal(job: Job) -> tuple[str, bytes]:
    """Return the name and data of a job's last event, the same as in the endpoint's stream."""
    answer = job.answer or JobAnswer(500, "application/json", b"null")
    if answer.status >= 400:
        return "error", answer.body
    return ("done" if job.path.startswith("/v1/generate") else "result"), answer.body


def numbered(event: JobEvent) -> bytes:
    """Return the line with the id of ``event``, after which a client can continue."""
    return b"id: %d\n" % event.number
