"""Calls a guardrail's operations, with a few attempts and one error for all failures."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from app.adapters.bedrock import errors
from app.adapters.bedrock.codecs.json import loads
from app.adapters.bedrock.runtime import Pieces, Runtime
from app.domain.errors import (
    GuardrailUnavailableError,
    UpstreamAccessDeniedError,
    UpstreamAnswerError,
    UpstreamCredentialsError,
    UpstreamError,
)

ATTEMPTS = 3
_PAUSE = 0.1
"""Seconds between the first two attempts; twice as long between the others."""
_HINTS: dict[type[UpstreamError], str] = {
    UpstreamAccessDeniedError: "; the operator should grant bedrock:ApplyGuardrail",
    UpstreamCredentialsError: "; the operator should check the AWS credentials",
}


@dataclass(frozen=True, slots=True)
class GuardrailCaller:
    """Calls one region's runtime."""

    runtime: Runtime

    def path(self, path: str) -> str:
        """Return the URL of ``path`` on the runtime's endpoint."""
        return f"{urlsplit(self.runtime.endpoint).path.rstrip('/')}{path}"

    async def call(self, path: str, body: Callable[[], Pieces], size: int) -> dict[str, Any]:
        """Return the answer's JSON object, or raise GuardrailUnavailableError.

        ``size`` is the body's, about.
        """
        for attempt in range(ATTEMPTS):
            try:
                with errors.translated():
                    answer, _ = await self.runtime.call(path, body, size)
                return _object(answer)
            except UpstreamError as error:
                if not error.retryable or attempt == ATTEMPTS - 1:
                    raise _unavailable(error) from error
            await asyncio.sleep(_PAUSE * 2**attempt * (1 + random.random()))  # noqa: S311 - no secret
        raise AssertionError


def _object(answer: bytes) -> dict[str, Any]:
    try:
        value = loads(answer)
    except ValueError as error:
        raise UpstreamAnswerError("the guardrail's answer is not JSON") from error
    if not isinstance(value, dict):
        raise UpstreamAnswerError("the guardrail's answer is not an object")
    return value


def _unavailable(error: UpstreamError) -> GuardrailUnavailableError:
    hint = next((hint for cls, hint in _HINTS.items() if isinstance(error, cls)), "")
    return GuardrailUnavailableError(
        f"The guardrail can't be called ({error.code}){hint}.", retry_after=error.retry_after
    )


def unreadable(what: str) -> GuardrailUnavailableError:
    """Return the error for an unreadable answer."""
    return GuardrailUnavailableError(f"The guardrail's answer can't be read: {what}.")
