"""The emulator's own endpoints under ``/_emulator``: health, faults, what was received."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import orjson

from app.emulator.control import request_log
from app.emulator.control.request_log import RequestLog
from app.emulator.faults.fault_schedule import ActiveFault, FaultSchedule
from app.emulator.wire.exchange import Request

PREFIX = b"/_emulator/"
_Reply = tuple[int, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Admin:
    """Answers the endpoints that AWS does not have. Nobody needs a key for them."""

    faults: FaultSchedule
    requests: RequestLog
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
                return 200, {"removed": self.faults.remove(model_id=query.get("model_id"))}
            case "DELETE", ["faults", number] if number.isdecimal():
                return 200, {"removed": self.faults.remove(number=int(number))}
            case "GET", ["requests"]:
                found = self.requests.matching(query.get("model_id"), query.get("operation"))
                return 200, request_log.summary(list(found))
            case "DELETE", ["requests"]:
                self.requests.forget(query.get("model_id"))
                return 200, {}
        return 404, {"message": f"the emulator has no {method} {request.path.decode()}"}

    def _faults(self) -> list[dict[str, Any]]:
        return [_rendered(number, w) for number, w in self.faults.installed.items()]

    def _install(self, body: bytes) -> _Reply:
        try:
            wanted = _wanted(body)
            number = self.faults.install(*wanted)
        except ValueError as error:
            return 400, {"message": str(error)}
        return 201, _rendered(number, self.faults.installed[number])


def _wanted(body: bytes) -> tuple[str, str | None, str | None]:
    fields = orjson.loads(body)
    if not isinstance(fields, dict) or not isinstance(fields.get("fault"), str):
        raise ValueError("a JSON object with a fault is expected")
    unknown = fields.keys() - {"fault", "model_id", "operation"}
    if unknown:
        raise ValueError(f"unknown member(s): {', '.join(sorted(unknown))}")
    return fields["fault"], fields.get("model_id"), fields.get("operation")


def _rendered(number: int, active: ActiveFault) -> dict[str, Any]:
    return {
        "number": number,
        "fault": active.fault.spelled,
        "model_id": active.model_id,
        "operation": active.operation,
        "calls": active.calls,
    }
