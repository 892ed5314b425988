"""CloudWatch's embedded metric format: log lines that become metrics without an agent."""

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from app.telemetry.record import RequestRecord


def _write(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()


def _directive(namespace: str, sets: list[list[str]], units: Mapping[str, str]) -> dict[str, Any]:
    """Return the directive that names a line's metrics and their dimensions to CloudWatch."""
    return {
        "Timestamp": round(time.time() * 1000),
        "CloudWatchMetrics": [
            {
                "Namespace": namespace,
                "Dimensions": sets,
                "Metrics": [{"Name": name, "Unit": unit} for name, unit in units.items()],
            }
        ],
    }


@dataclass(frozen=True, slots=True)
class EmbeddedMetrics:
    """Writes one line for each request that called the model."""

    namespace: str
    dimensions: tuple[str, ...] = ("Service", "Model")
    """The dimensions of metrics: names of text fields in the line."""
    service: str = "llama-vision"
    write: Callable[[str], object] = _write

    def __call__(self, record: RequestRecord) -> None:
        """Write the line."""
        if record.attempts:
            self.write(orjson.dumps(self._document(record)).decode() + "\n")

    def _document(self, record: RequestRecord) -> dict[str, Any]:
        """Return the line for ``record``: its metrics, and the fields that can be dimensions."""
        values = {name: value for name, value in _values(record).items() if value is not None}
        return {
            "_aws": _directive(
                self.namespace, self._sets(), {name: UNITS[name] for name in values}
            ),
            "Service": self.service,
            # These may be dimensions, which must not be empty.
            "Model": record.model or "none",
            "Task": record.task or "generate",
            "Caller": record.caller or "anonymous",
            "Route": record.route or "none",
            # These must not be dimensions: each request would become a metric of its own.
            "RequestId": record.request_id,
            "Code": record.code,
            **values,
        }

    def _sets(self) -> list[list[str]]:
        """Return the set of all dimensions, and the first alone, which sums over the others."""
        together = list(self.dimensions)
        return [together, together[:1]] if len(together) > 1 else [together]


GAUGE_INTERVAL = 30
"""Seconds between two lines about a process."""


@dataclass(slots=True)
class EmbeddedGauges:
    """Writes the fill level of a process for autoscaling; idle processes write it too."""

    namespace: str
    service: str = "llama-vision"
    write: Callable[[str], object] = _write
    clock: Callable[[], float] = time.monotonic
    most: float = field(default=0, init=False)
    """The greatest share since the last line."""
    due: float = field(default=0, init=False)

    def sample(self, bytes_in_flight: float) -> None:
        """Add a sample of the share in use, 0 to 1; if a line is due, write the greatest sample."""
        self.most = max(self.most, bytes_in_flight)
        if (now := self.clock()) < self.due:
            return
        line = {
            "_aws": _directive(self.namespace, [["Service"]], PROCESS_UNITS),
            "Service": self.service,
            "BytesInFlight": 100 * self.most,
        }
        self.write(orjson.dumps(line).decode() + "\n")
        self.most, self.due = 0, now + GAUGE_INTERVAL


PROCESS_UNITS = {"BytesInFlight": "Percent"}

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
