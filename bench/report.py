"""Results: a file for machines, a table for people."""

import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def quantile(values: Sequence[float], share: float) -> float | None:
    """Return the value that ``share`` of ``values`` do not exceed, None where there are none."""
    return sorted(values)[math.ceil(share * len(values)) - 1] if values else None


def milliseconds(seconds: Sequence[float]) -> dict[str, float | None]:
    """Return the quantiles that matter, in milliseconds."""
    found = {"p50": quantile(seconds, 0.5), "p99": quantile(seconds, 0.99)}
    found["max"] = max(seconds, default=None)
    return {name: None if s is None else round(s * 1000, 1) for name, s in found.items()}


def write(name: str, results: dict[str, Any]) -> None:
    """Write ``results/name.json`` and print a table of it."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"at": datetime.now(UTC).isoformat()} | results, indent=2) + "\n")
    width = max(map(len, results))
    for key, value in results.items():
        print(f"{key:<{width}}  {_shown(value)}")
    print(f"\nwritten to {path.relative_to(RESULTS.parents[1])}")


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "  ".join(f"{name}={_shown(inner)}" for name, inner in value.items())
    return f"{value:,}" if isinstance(value, int | float) else str(value)
