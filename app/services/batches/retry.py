"""Decides whether a row's error is its answer or leads to another attempt.

Follows the retry table of model calls (`app.services.model_stack.retry`), but since no caller is
waiting, it waits for rate limits, a busy service or a loading model as long as the batch runs.
"""

from dataclasses import dataclass

from app.domain import errors
from app.domain.errors import ServiceError
from app.services.model_stack.retry import RULES

SHORT, LONG = 1.0, 30.0
"""Minimum and maximum wait in seconds before a row's next attempt."""
_CALLERS = (errors.RateLimitedError,)
"""Errors that postpone all rows of the caller."""
_PATIENT = (
    errors.OverloadedError,
    errors.NotReadyError,
    errors.ShuttingDownError,
    errors.LimiterUnavailableError,
    errors.FileStoreError,
    errors.DataKeyError,
    errors.ModelLoadingError,
    errors.CircuitOpenError,
)
"""Transient errors that do not count as attempts and are never a row's answer."""


@dataclass(frozen=True, slots=True)
class Again:
    """Another attempt after ``seconds``, counted or not."""

    seconds: float
    counted: bool
    caller_rests: bool = False
    """Whether none of the caller's rows may begin before then."""
    all_rest: bool = False
    """Whether no row at all may begin before then."""


def again(error: ServiceError, attempts: int) -> Again | None:
    """Return the next attempt after ``error``, or None if the error is the row's answer."""
    wait = min(max(error.retry_after or SHORT, SHORT), LONG)
    if isinstance(error, _CALLERS):
        return Again(wait, counted=False, caller_rests=True)
    if isinstance(error, errors.ShuttingDownError):
        return Again(0, counted=False)
    if isinstance(error, _PATIENT):
        waits_for_model = isinstance(error, errors.ModelLoadingError | errors.CircuitOpenError)
        return Again(wait, counted=False, all_rest=waits_for_model)
    rule = RULES.get(type(error))  # type: ignore[arg-type] # others have none
    if rule is None or rule.billed or attempts + 1 >= rule.attempts:
        return None
    return Again(min(SHORT * 2.0**attempts, LONG), counted=True)


def patience(error: ServiceError, times: int) -> float | None:
    """Return the seconds until a failed question is asked again, or None; this is a `Patience`."""
    later = again(error, times)
    return None if later is None else later.seconds
