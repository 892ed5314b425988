"""Parameters of foreign dialects that this service does not support."""

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
class ForeignParameters:
    """Judges parameters of a foreign dialect by whether ignoring them would change the answer."""

    harmless: frozenset[str]
    """Parameters that never affect the answer."""
    neutral: Mapping[str, tuple[object, ...]] = field(default_factory=dict)
    """Other known parameters, with the values (beside null) that have no effect."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Reasons for refusing a parameter, if there is more to say than that the model lacks it."""

    def ignored(self, parameters: Mapping[str, Any], place: str = "") -> tuple[str, ...]:
        """Return the paths of the parameters that are ignored, or raise for those that matter.

        Raises UnsupportedParameterError, or UnknownFieldError if the dialect has no such parameter.
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
        # The type has to match too: False is not 0.
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
