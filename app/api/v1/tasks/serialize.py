"""Writes answers of the tasks as JSON, as their schemas describe them."""

import orjson

from app.api.v1.generate import serialize
from app.services.task_runner.request import Progress, RawAnswer, TaskAnswer


def answer(answer: TaskAnswer) -> bytes:
    """Return a `TaskOut` as JSON."""
    generation, result, refusal = answer.generation, answer.result, answer.refusal
    latency = {"total": generation.latency.total, "model": generation.latency.model}
    return orjson.dumps(
        {
            "id": generation.id,
            "model": generation.model,
            "task": answer.task,
            "prompt_version": answer.prompt_version,
            "valid": result is not None,
            # Written by Pydantic, as integers in it may have more than 64 bits.
            "result": None if result is None else orjson.Fragment(result.model_dump_json()),
            "evidence": answer.evidence,
            "faults": answer.faults,
            "refused": refusal is not None and not refusal.image_not_seen,
            "image_not_seen": refusal is not None and refusal.image_not_seen,
            "refusal": None if refusal is None else refusal.words,
            "generation": generation.completion.text,
            "raw_texts": [_raw(raw) for raw in answer.raw],
            **serialize.facts(generation),
            "repaired": answer.repaired,
            "calls": answer.calls,
            "latency_ms": latency,
        }
    )


def _raw(raw: RawAnswer) -> dict[str, object]:
    return {"page": raw.page, "file": raw.file, "number": raw.number, "text": raw.text}


def progress(progress: Progress) -> bytes:
    """Return a `ProgressEvent` as JSON."""
    part = progress.page_result
    return orjson.dumps(
        {
            "done": progress.done,
            "total": progress.total,
            "page": progress.page,
            "file": progress.origin.file,
            "number": progress.origin.number,
            "fault": progress.fault,
            "text": progress.text,
            "page_result": None if part is None else orjson.Fragment(part.model_dump_json()),
        }
    )
