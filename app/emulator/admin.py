"""The emulator's own endpoints under ``/_emulator``: health, faults, what was received."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import orjson

from app.emulator import journal
from app.emulator.exchange import Request
from app.emulator.journal import Journal
from app.emulator.rehearsal import Rehearsal, Watched

PREFIX = b"/_emulator/"
_Reply = tuple[int, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Admin:
    """Answers the endpoints that AWS does not have. Nobody needs a key for them."""

    rehearsal: Rehearsal
    journal: Journal
    about: dict[str, Any]
    """What the health endpoint tells besides ``status``."""

    def answer(self, request: Request) -> _Reply:
        """Return status and body."""
        query = {k: v[0] for k, v in parse_qs(request.query.decode()).items()}
        method, path = request.method, request.path.removeprefix(PREFIX).decode()
        match method, path.split("/"):
            case "GET", ["health"]:
                return 200, {"status": "ok", **self.about}
            case "GET", ["faults"]:
                return 200, {"faults": self._faults()}
            case "POST", ["faults"]:
                return self._install(request.body)
            case "DELETE", ["faults"]:
                return 200, {"removed": self.rehearsal.remove(model_id=query.get("model_id"))}
            case "DELETE", ["faults", number] if number.isdecimal():
                return 200, {"removed": self.rehearsal.remove(number=int(number))}
            case "GET", ["requests"]:
                found = self.journal.of(query.get("model_id"), query.get("operation"))
                return 200, journal.summary(list(found))
            case "DELETE", ["requests"]:
                self.journal.forget(query.get("model_id"))
                return 200, {}
        return 404, {"message": f"the emulator has no {method} {request.path.decode()}"}

    def _faults(self) -> list[dict[str, Any]]:
        return [_rendered(number, w) for number, w in self.rehearsal.installed.items()]

    def _install(self, body: bytes) -> _Reply:
        try:
            wanted = _wanted(body)
            number = self.rehearsal.install(*wanted)
        except ValueError as error:
            return 400, {"message": str(error)}
        return 201, _rendered(number, self.rehearsal.installed[number])


def _wanted(body: bytes) -> tuple[str, str | None, str | None]:
    fields = orjson.loads(body)
    if not isinstance(fields, dict) or not isinstance(fields.get("fault"), str):
        raise ValueError("a JSON object with a fault is expected")
    unknown = fields.keys() - {"fault", "model_id", "operation"}
    if unknown:
        raise ValueError(f"unknown member(s): {', '.join(sorted(unknown))}")
    return fields["fault"], fields.get("model_id"), fields.get("operation")


def _rendered(number: int, watched: Watched) -> dict[str, Any]:
    return {
        "number": number,
        "fault": watched.fault.spelled,
        "model_id": watched.model_id,
        "operation": watched.operation,
        "calls": watched.calls,
    }
