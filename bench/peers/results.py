"""The results of one ``python -m bench``, kept as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from bench.peers import figures, tables, targets
from bench.peers.figures import Table
from bench.peers.run import Run, Skipped
from bench.peers.targets import Target

_UPSTREAM = (
    "`bench/peers/upstream.py`, which replays the emulator's answers; alone as fast as *direct*"
)
FILE = Path(__file__).parents[1] / "results" / "peers.json"


@dataclass(frozen=True, slots=True)
class Results:
    """Raw runs, and the facts needed to read them."""

    at: str
    command: str
    machine: dict[str, str]
    runs: Sequence[Run]
    verdicts: dict[str, dict[str, str]] = field(default_factory=dict)
    """Whether the model takes the request, by workload and gateway; see `bench.peers.verdict`."""
    skipped: Skipped = field(default_factory=dict)
    ours_alone: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The results of `bench.soak.streams` and `bench.soak.overload`."""

    @classmethod
    def read(cls, file: Path = FILE) -> Self:
        """Return the results written last."""
        found = json.loads(file.read_text())
        return cls(**{**found, "runs": [Run(**run) for run in found["runs"]]})

    def write(self, file: Path = FILE) -> None:
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @property
    def table(self) -> Table:
        return figures.table(self.runs)

    @property
    def targets(self) -> list[Target]:
        return targets.targets(self.runs)

    def markdown(self) -> str:
        """Return the results as a page of Markdown."""
        about = {
            **self.machine,
            "upstream": _UPSTREAM,
            "command": f"`{self.command}`",
            "at": self.at,
        }
        rounds = max((run.round for run in self.runs), default=0)
        parts = [
            tables.markdown(["", ""], [[name, value] for name, value in about.items()]),
            f"Medians of {rounds} rounds; memory and errors of all of them. The cache of prepared "
            "pictures that *ours* keeps was full before the first.",
            tables.targets(self.targets),
            tables.tables(self.table, self.verdicts, self.skipped),
            *(f"### {name}\n\n{_facts(found)}" for name, found in self.ours_alone.items()),
        ]
        return "\n\n".join(parts) + "\n"


def _facts(found: dict[str, Any]) -> str:
    return tables.markdown(["", ""], [[name, _text(value)] for name, value in found.items()])


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(inner)}" for name, inner in value.items())
    return tables.number(value) if isinstance(value, int | float) else str(value)
