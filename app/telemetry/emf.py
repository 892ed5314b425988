"""CloudWatch's embedded metric format: log lines that become metrics with no agent."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from app.telemetry.record import RequestRecord


def _write(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()


@dataclass(frozen=True, slots=True)
class EmbeddedMetrics:
    """Writes one line for each request that called the model."""

    namespace: str
    service: str = "llama-vision"
    write: Callable[[str], object] = _write

    def __call__(self, record: RequestRecord) -> None:
        """Write the line."""
        if record.attempts:
            line = orjson.dumps(document(record, self.namespace, self.service))
            self.write(line.decode() + "\n")


UNITS = {
    "Requests": "Count",
    "Errors": "Count",
    "Latency": "Milliseconds",
    "ModelLatency": "Milliseconds",
    "TimeToFirstToken": "Milliseconds",
    "InputTokens": "Count",
    "OutputTokens": "Count",
    "Images": "Count",
    "ImageBytes": "Bytes",
    "ImageTiles": "Count",
    "CostUsd": "None",
}


def document(record: RequestRecord, namespace: str, service: str) -> dict[str, Any]:
    """Return the line for ``record``: metrics by service and model, the caller beside them."""
    values = {name: value for name, value in _values(record).items() if value is not None}
    return {
        "_aws": {
            "Timestamp": round(time.time() * 1000),
            "CloudWatchMetrics": [
                {
                    "Namespace": namespace,
                    "Dimensions": [["Service", "Model"], ["Service"]],
                    "Metrics": [{"Name": name, "Unit": UNITS[name]} for name in values],
                }
            ],
        },
        "Service": service,
        "Model": record.model or "none",
        # No dimensions: each caller and each request would be a metric of its own.
        "RequestId": record.request_id,
        "Caller": record.caller,
        "Task": record.task,
        "Code": record.code,
        **values,
    }


def _values(record: RequestRecord) -> dict[str, float | None]:
    return {
        "Requests": 1,
        "Errors": int(record.status >= 500 or record.stream == "failed"),
        "Latency": record.duration_ms,
        "ModelLatency": record.stages_ms.get("model"),
        "TimeToFirstToken": record.first_token_ms,
        "InputTokens": record.prompt_tokens,
        "OutputTokens": record.generation_tokens,
        "Images": record.images,
        "ImageBytes": record.image_bytes_in,
        "ImageTiles": record.tiles,
        "CostUsd": record.cost_usd,
    }
