"""Writes answers of the service's own dialect as JSON, as their schemas describe them.

Building and serialising a pydantic model of each answer would take three times as long.
"""

from typing import Any

import orjson

from app.api.errors.problem import fault
from app.api.responses.cost import fields as cost_fields
from app.api.responses.guardrail import fields as guardrail_fields
from app.domain.cost import Cost
from app.domain.generation import Generation, Part, Started, Target
from app.domain.guardrail import GuardrailReport
from app.domain.image import AnswerWarning, ImageReport


def generation(answer: Generation) -> bytes:
    """Return a `GenerationOut` as JSON."""
    latency = {"total": answer.latency.total, "model": answer.latency.model}
    return orjson.dumps(
        {
            "id": answer.id,
            "model": answer.model,
            "generation": answer.completion.text,
            **facts(answer),
            "latency_ms": latency,
        }
    )


def started(event: Started) -> bytes:
    """Return a `StartEvent` as JSON."""
    return orjson.dumps(
        {
            "id": event.id,
            "model": event.model,
            "images": [image(report) for report in event.images],
            "warnings": warnings(event.warnings),
        }
    )


def done(answer: Generation) -> bytes:
    """Return a `DoneEvent` as JSON."""
    latency = answer.latency
    return orjson.dumps(
        {
            "id": answer.id,
            "model": answer.model,
            **facts(answer),
            "latency_ms": {
                "total": latency.total,
                "model": latency.model,
                "first_token": latency.first_token,
            },
        }
    )


def facts(answer: Generation) -> dict[str, Any]:
    """Return the members of an answer's `GenerationFacts`, without those of `Identified`."""
    completion, usage = answer.completion, answer.completion.usage
    return {
        "prompt_token_count": usage.prompt_token_count,
        "generation_token_count": usage.generation_token_count,
        "total_token_count": usage.total_token_count,
        "cost_usd": cost(usage.cost),
        "guardrail": (
            None if completion.guardrail is None else guardrail_fields(completion.guardrail)
        ),
        "cached": completion.replay is not None,
        "age_seconds": None if completion.replay is None else completion.replay.age,
        "stop_reason": completion.stop_reason,
        "stop_reason_raw": completion.stop_reason_raw,
        "images": [image(report) for report in answer.images],
        "warnings": warnings(answer.warnings),
        "target": _target(completion.target),
        "generations": [_part(part) for part in answer.parts],
    }


def cost(amount: Cost | None) -> dict[str, Any] | None:
    """Return the members of a `CostOut`; None if the cost is unknown."""
    return None if amount is None else cost_fields(amount)


def guardrail(report: GuardrailReport | None) -> dict[str, Any] | None:
    """Return the members of a `GuardrailOut`; None if no guardrail was called."""
    return None if report is None else guardrail_fields(report)


def warnings(answer_warnings: tuple[AnswerWarning, ...]) -> list[dict[str, str]]:
    """Return the members of a `WarningOut` for each of ``answer_warnings``."""
    return [{"code": warning.code, "message": warning.message} for warning in answer_warnings]


def image(report: ImageReport) -> dict[str, Any]:
    """Return the members of an `ImageOut`."""
    received, prepared, canvas = report.received, report.prepared, report.canvas
    return {
        "media_type": received.media_type,
        "width": received.width,
        "height": received.height,
        "bytes": received.bytes,
        "received": {
            "declared_type": report.declared_type,
            "media_type": received.media_type,
            "width": received.width,
            "height": received.height,
            "bytes": received.bytes,
            "orientation": received.orientation,
            "frames": received.frames,
        },
        "prepared": {
            "media_type": prepared.media_type,
            "width": prepared.width,
            "height": prepared.height,
            "bytes": prepared.size,
            "sha256": prepared.sha256,
        },
        "canvas": {"columns": canvas.columns, "rows": canvas.rows, "tiles": canvas.tiles},
        "scale": report.scale,
        "treatment": report.treatment,
        "warnings": warnings(report.warnings),
    }


def _target(target: Target | None) -> dict[str, str] | None:
    if target is None:
        return None
    return {"region": target.region, "model_id": target.model_id, "dialect": target.dialect}


def _part(part: Part) -> dict[str, Any]:
    answer, error = part.generation, part.error
    completion = None if answer is None else answer.completion
    usage = None if completion is None else completion.usage
    return {
        "image": part.name,
        "id": answer and answer.id,
        "generation": None if completion is None else completion.text,
        "prompt_token_count": None if usage is None else usage.prompt_token_count,
        "generation_token_count": None if usage is None else usage.generation_token_count,
        "total_token_count": None if usage is None else usage.total_token_count,
        "stop_reason": None if completion is None else completion.stop_reason,
        "stop_reason_raw": None if completion is None else completion.stop_reason_raw,
        # The error is reported only if there is no answer.
        "error": None if answer is not None or error is None else fault(error).model_dump(),
    }
