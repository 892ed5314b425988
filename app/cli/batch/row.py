"""One file's row: the service's answer, and its forms in the output."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.domain.json_line import on_one_line

FACTS = ("valid", "faults", "prompt_token_count", "generation_token_count")
COLUMNS = ("file", "task", "status", "error", "cost_usd", *FACTS)
"""Columns of every row; the result's own members come after them."""


@dataclass(frozen=True, slots=True)
class Row:
    """The outcome of one file."""

    file: str
    task: str
    status: int
    """The HTTP status; 0 if there was no answer."""
    result: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None
    """The error's ``code`` and ``detail``."""
    cost_usd: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        """Whether the file was answered, so that no run sends it again."""
        return self.status == 200

    def line(self) -> str:
        """Return the row as a line of JSON."""
        line = json.dumps(
            {
                "file": self.file,
                "task": self.task,
                "status": self.status,
                "result": self.result,
                "error": self.error,
                "cost_usd": self.cost_usd,
                **{name: self.facts.get(name) for name in FACTS},
            },
            ensure_ascii=False,
        )
        return on_one_line(line.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def cells(self) -> dict[str, str]:
        """Return the row as cells of a table; lists and objects are JSON."""
        code = "" if self.error is None else f"{self.error.get('code')}: {self.error.get('detail')}"
        own = {name: _cell(value) for name, value in (self.result or {}).items()}
        return {
            **{f"result.{name}" if name in COLUMNS else name: cell for name, cell in own.items()},
            "file": self.file,
            "task": self.task,
            "status": str(self.status),
            "error": code,
            "cost_usd": _cell(self.cost_usd),
            **{name: _cell(self.facts.get(name)) for name in FACTS},
        }


def _cell(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def read(line: str) -> Row | None:
    """Return the row in ``line``; None if it is incomplete, as a broken run's last one may be."""
    try:
        members = json.loads(line)
        return Row(
            members["file"],
            members["task"],
            members["status"],
            members["result"],
            members["error"],
            members["cost_usd"],
            {name: members.get(name) for name in FACTS},
        )
    except (ValueError, KeyError, TypeError):
        return None
