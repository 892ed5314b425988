"""The stored form of a batch: the queue group that its rows belong to."""

from dataclasses import asdict
from typing import Any

import orjson

from app.domain.batch import (
    ENDED,
    Batch,
    BatchCounts,
    BatchEngine,
    BatchFault,
    BatchStatus,
    NativeJob,
    NativePhase,
)
from app.domain.work import WorkGroup, WorkKind, WorkUsage
from app.services.access import kept_caller

KEPT = 30 * 24 * 3600
"""Seconds for which a batch stays listed after its end."""
_PLAIN = (
    "endpoint",
    "input_file_id",
    "window",
    "expires_at",
    "output_file_id",
    "error_file_id",
    "webhook",
    "engine_reason",
    "claimed_by",
    "claimed_until",
    "output_seconds",
    "unsettled",
)


def group(batch: Batch) -> WorkGroup:
    """Return the group that stores ``batch``."""
    body = {name: getattr(batch, name) for name in _PLAIN} | {
        "caller": kept_caller.written(batch.caller),
        "metadata": None if batch.metadata is None else dict(batch.metadata),
        "times": {str(status): at for status, at in batch.times.items()},
        "ending": batch.ending,
        "engine": batch.engine,
        "native": None if batch.native is None else asdict(batch.native),
        "faults": [asdict(fault) for fault in batch.faults],
        "counts": asdict(batch.counts),
    }
    ended = batch.status in ENDED
    return WorkGroup(
        batch.id,
        batch.owner,
        WorkKind.BATCH_ROW,
        batch.status,
        batch.created_at,
        orjson.dumps(body),
        active=not ended or batch.unsettled,
        expires_at=batch.times.get(batch.status, batch.created_at) + KEPT if ended else None,
        version=batch.version,
    )


def read(kept: WorkGroup) -> Batch:
    """Return the batch stored in ``kept``."""
    body: dict[str, Any] = orjson.loads(kept.body)
    counts = body["counts"]
    return Batch(
        id=kept.id,
        caller=kept_caller.read(kept.owner, body["caller"]),
        created_at=kept.created_at,
        status=BatchStatus(kept.status),
        metadata=body["metadata"],
        times=body["times"],
        ending=None if body["ending"] is None else BatchStatus(body["ending"]),
        engine=BatchEngine(body.get("engine", BatchEngine.AUTO)),
        native=_native(body.get("native")),
        faults=tuple(BatchFault(**fault) for fault in body["faults"]),
        counts=BatchCounts(**{**counts, "usage": WorkUsage(**counts["usage"])}),
        version=kept.version,
        **{name: body[name] for name in _PLAIN if name in body},
    )


def _native(body: dict[str, Any] | None) -> NativeJob | None:
    if body is None:
        return None
    return NativeJob(**{**body, "phase": NativePhase(body["phase"])})
