"""Parameters that clients of a foreign dialect may send but this service does not support."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.domain.errors import (
    FieldError,
    RequestError,
    UnknownFieldError,
    UnsupportedParameterError,
)

_REASONS: dict[type[RequestError], str] = {
    UnsupportedParameterError: "is not supported by the model, and leaving it out would change "
    "the answer",
    UnknownFieldError: "there is no such parameter",
}


@dataclass(frozen=True, slots=True)
class Foreign:
    """Parameters of a foreign dialect, judged by whether ignoring them would matter."""

    harmless: frozenset[str]
    """Parameters that never affect the answer."""
    neutral: Mapping[str, tuple[object, ...]] = field(default_factory=dict)
    """Other parameters, with the values (beside null) that have no effect."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Reasons for the refusal of a parameter, beyond that the model lacks it."""

    def ignored(self, parameters: Mapping[str, Any], place: str = "") -> tuple[str, ...]:
        """Return the ignored parameters that were given, or raise for those that would matter.

        Raises UnsupportedParameterError, or UnknownFieldError for what the dialect has not.
        """
        if not parameters:
            return ()
        sent = {name: value for name, value in parameters.items() if value is not None}
        refused = [name for name in sent if self._matters(name, sent[name])]
        if refused:
            raise self._refusal(place, refused)
        return tuple(f"{place}{name}" for name in sent)

    def _matters(self, name: str, value: object) -> bool:
        if name in self.harmless:
            return False
        # By type too: False is no 0.
        return not any(
            value == neutral and type(value) is type(neutral)
            for neutral in self.neutral.get(name, ())
        )

    def _refusal(self, place: str, refused: list[str]) -> RequestError:
        known = all(name in self.neutral for name in refused)
        cls = UnsupportedParameterError if known else UnknownFieldError
        reasons = {name: self.reasons.get(name, _REASONS[cls]) for name in refused}
        return cls(
            "; ".join(f"{place}{name}: {reason}" for name, reason in reasons.items()),
            errors=tuple(
                FieldError(f"{place}{name}", cls.code, reason) for name, reason in reasons.items()
            ),
        )
