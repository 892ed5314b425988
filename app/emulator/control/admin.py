"""The emulator's own endpoints under ``/_emulator``: health, faults, requests received."""

import hmac
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import parse_qs, unquote

import orjson

from app.emulator.config import EmulatorConfig
from app.emulator.control import request_log
from app.emulator.control.foundation_models import FoundationModels
from app.emulator.control.imported_models import ImportedModels
from app.emulator.control.request_log import RequestLog
from app.emulator.faults.fault_schedule import ActiveFault, FaultSchedule
from app.emulator.wire.errors import AwsError
from app.emulator.wire.exchange import Request

PREFIX = b"/_emulator/"
HEALTH = PREFIX + b"health"
_UNAUTHORIZED = "the admin endpoints need --admin-token's value as a bearer token"
_Reply = tuple[int, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Admin:
    """Answers the emulator's own endpoints."""

    config: EmulatorConfig
    faults: FaultSchedule
    requests: RequestLog
    models: ImportedModels
    foundation: FoundationModels
    about: dict[str, Any]
    """Facts that the health endpoint returns besides ``status``."""

    def answer(self, request: Request) -> _Reply:
        """Return status and body."""
        query = {k: v[0] for k, v in parse_qs(request.query.decode()).items()}
        if not self._admits(request):
            return 401, {"message": _UNAUTHORIZED}
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
                entries = self.requests.matching(query.get("model_id"), query.get("operation"))
                return 200, request_log.summary(list(entries))
            case "DELETE", ["requests"]:
                self.requests.forget(query.get("model_id"))
                return 200, {}
            case _, [
                "imported-models" | "metrics" | "foundation-models" | "inference-profiles",
                *_,
            ]:
                return self._about_models(method, path.split("/"), query, request.body)
        return _unknown(method, path)

    def _about_models(
        self, method: str, parts: list[str], query: dict[str, str], body: bytes
    ) -> _Reply:
        try:
            match method, parts:
                case "GET", ["imported-models"]:
                    return 200, {"models": [self.models.status(m) for m in self.models.all()]}
                case "POST", ["imported-models", name]:
                    return self._set_model(unquote(name), body)
                case "POST", ["foundation-models" | "inference-profiles" as kind, name]:
                    return self._set_entry(kind, unquote(name), body)
                case "GET", ["metrics", "ModelCopy"]:
                    model = self.models.find(query.get("model_id", ""))
                    return 200, self.models.copy_count(model)
        except AwsError as error:
            return error.kind.status, {"message": error.message}
        return _unknown(method, "/".join(parts))

    def _admits(self, request: Request) -> bool:
        """Whether the caller may use the endpoint; health needs no token."""
        token = self.config.admin_token
        if request.path == HEALTH or (token is None and self.config.admin_open):
            return True
        given = request.headers.get(b"authorization", b"")
        return token is not None and hmac.compare_digest(given, f"Bearer {token}".encode())

    def _set_model(self, name: str, body: bytes) -> _Reply:
        try:
            self.models.set_state(name, *_wanted_state(orjson.loads(body)))
        except ValueError as error:
            return 400, {"message": str(error)}
        return 200, self.models.status(self.models.find(name))

    def _set_entry(self, kind: str, name: str, body: bytes) -> _Reply:
        """Set the day on which a foundation model ends, or the models of a profile."""
        try:
            match kind, orjson.loads(body):
                case "foundation-models", {"end_of_life": str() | None as day}:
                    self.foundation.end(name, date.fromisoformat(day) if day else None)
                case "inference-profiles", {"model_arns": [*arns]}:
                    self.foundation.set_profile(name, tuple(map(str, arns)))
                case _:
                    raise ValueError("a JSON object with end_of_life or model_arns is expected")
        except ValueError as error:
            return 400, {"message": str(error)}
        return 200, {}

    def _faults(self) -> list[dict[str, Any]]:
        return [_rendered(number, w) for number, w in self.faults.installed.items()]

    def _install(self, body: bytes) -> _Reply:
        try:
            wanted = _wanted(body)
            number = self.faults.install(*wanted)
        except ValueError as error:
            return 400, {"message": str(error)}
        return 201, _rendered(number, self.faults.installed[number])


def _unknown(method: str, path: str) -> _Reply:
    return 404, {"message": f"the emulator has no {method} {PREFIX.decode()}{path}"}


def _wanted_state(fields: object) -> tuple[float | None, str]:
    if not isinstance(fields, dict) or fields.keys() - {"cold_start_seconds", "state"}:
        raise ValueError("a JSON object with cold_start_seconds or state is expected")
    seconds, state = fields.get("cold_start_seconds"), fields.get("state", "")
    if seconds is not None and (
        isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0
    ):
        raise ValueError("cold_start_seconds is a number that is not negative")
    if state not in ("", "cold", "ready"):
        raise ValueError("state is cold or ready")
    return seconds, state


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
