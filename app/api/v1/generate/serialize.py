"""A `GenerationOut` as JSON, without the model on the way.

To build the model and have pydantic write it takes three times as long; a test holds this to it.
"""

from typing import Any

import orjson

from app.api.v1.generate.schemas import PartOut
from app.domain.cost import Cost
from app.domain.generation import Generation, Target
from app.domain.image import Caveat, ImageReport


def generation_out(generation: Generation) -> bytes:
    """Return what ``GenerationOut.of(generation).model_dump_json()`` returns."""
    completion, usage, latency = (
        generation.completion,
        generation.completion.usage,
        generation.latency,
    )
    return orjson.dumps(
        {
            "id": generation.id,
            "model": generation.model,
            "generation": completion.text,
            "prompt_token_count": usage.prompt_token_count,
            "generation_token_count": usage.generation_token_count,
            "total_token_count": usage.total_token_count,
            "cost_usd": _cost(usage.cost),
            "stop_reason": completion.stop_reason,
            "stop_reason_raw": completion.stop_reason_raw,
            "images": [_image(report) for report in generation.images],
            "warnings": _warnings(generation.warnings),
            "target": _target(completion.target),
            "generations": [PartOut.of(part).model_dump(mode="json") for part in generation.parts],
            "latency_ms": {"total": latency.total, "model": latency.model},
        }
    )


def _cost(cost: Cost | None) -> dict[str, float] | None:
    if cost is None:
        return None
    return {"input": cost.input, "output": cost.output, "total": cost.total}


def _target(target: Target | None) -> dict[str, str] | None:
    if target is None:
        return None
    return {"region": target.region, "model_id": target.model_id, "dialect": target.dialect}


def _warnings(caveats: tuple[Caveat, ...]) -> list[dict[str, str]]:
    return [{"code": caveat.code, "message": caveat.message} for caveat in caveats]


def _image(report: ImageReport) -> dict[str, Any]:
    facts, prepared, canvas = report.received, report.prepared, report.canvas
    return {
        "media_type": facts.media_type,
        "width": facts.width,
        "height": facts.height,
        "bytes": facts.bytes,
        "received": {
            "declared_type": report.declared_type,
            "media_type": facts.media_type,
            "width": facts.width,
            "height": facts.height,
            "bytes": facts.bytes,
            "orientation": facts.orientation,
            "frames": facts.frames,
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
        "warnings": _warnings(report.warnings),
    }
