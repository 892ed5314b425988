"""Reads a stream of server-sent events, strictly."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx


@dataclass
class Events:
    """The events of one stream."""

    named: list[tuple[str, Any]] = field(default_factory=list)
    comments: int = 0

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.named]

    @property
    def text(self) -> str:
        return "".join(data["text"] for name, data in self.named if name == "delta")

    def last(self) -> Any:
        return self.named[-1][1]

    def assert_well_formed(self) -> None:
        """Assert one start, then deltas, then one terminal event and nothing after it."""
        assert self.names[0] == "start"
        assert self.names[-1] in ("done", "error")
        assert set(self.names[1:-1]) <= {"delta"}


def read(answer: httpx.Response) -> Events:
    """Read ``answer`` to its end."""
    events = Events()
    for name, data in each(answer, events):
        events.named.append((name, data))
    return events


def each(answer: httpx.Response, events: Events | None = None) -> Iterator[tuple[str, Any]]:
    """Yield events as they arrive."""
    assert answer.headers["content-type"].startswith("text/event-stream")
    name = ""
    for line in answer.iter_lines():
        match line.partition(": "):
            case ("", _, comment):
                assert not line or comment, line
                if comment and events is not None:
                    events.comments += 1
            case ("event", _, value):
                name = value
            case ("data", _, value):
                yield name, json.loads(value)
            case _:
                raise AssertionError(f"not a line of an event stream: {line!r}")


def events(answer: httpx.Response) -> list[tuple[str, dict[str, Any]]]:
    """Return the names and data of a whole task's stream."""
    found = []
    for block in answer.text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if lines:
            found.append((lines["event"], json.loads(lines["data"])))
    return found
