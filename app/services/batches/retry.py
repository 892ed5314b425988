"""The outcome of a row that met an error: an answer, or another attempt later.

By the retry table of calls (`app.services.model_stack.retry`), with the patience that nobody waits:
limits, a busy service and a model that loads are waited for as long as the batch goes on.
"""

from dataclasses import dataclass

from app.domain import errors
from app.domain.errors import ServiceError
from app.services.model_stack.retry import RULES

SHORT, LONG = 1.0, 30.0
"""Seconds that a row waits at least and at most before it is tried again."""
_CALLERS = (errors.RateLimitedError,)
"""Only their caller has to wait."""
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
"""Waited for without counting: the row was not, or will not be, answered by this."""


@dataclass(frozen=True, slots=True)
class Again:
    """Another attempt."""

    seconds: float
    counted: bool
    caller_rests: bool = False
    """None of the caller's rows is to be begun before."""
    all_rest: bool = False
    """No row is to be begun before."""


def again(error: ServiceError, attempts: int) -> Again | None:
    """Return when a row is tried again after ``error``, None where this is its answer."""
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
    """Return the seconds after which a part of an answer is asked for again; a `Patience`."""
    later = again(error, times)
    return None if later is None else later.seconds
