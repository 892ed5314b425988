"""Translates failures of an OpenAI-compatible server into `app.domain.errors`."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from app.adapters.bedrock.codecs.json import loads, member
from app.adapters.http1 import errors as http1
from app.adapters.retry_after import retry_after
from app.domain import errors

_CREDENTIALS = (
    "The OpenAI-compatible server does not accept the key. The operator should check "
    "LLAMA_VISION_OPENAI_KEY or LLAMA_VISION_OPENAI_KEY_FILE."
)
_NOT_FOUND = (
    "The OpenAI-compatible server does not know the model or the path. The operator should check "
    "LLAMA_VISION_OPENAI_MODEL and LLAMA_VISION_OPENAI_URL."
)

# Its status -> our class, and the message; "" passes the server's own message on.
BY_STATUS: Mapping[int, tuple[type[errors.UpstreamError], str]] = {
    400: (errors.UpstreamValidationError, ""),
    401: (errors.UpstreamCredentialsError, _CREDENTIALS),
    403: (errors.UpstreamAccessDeniedError, _CREDENTIALS),
    404: (errors.ModelNotFoundError, _NOT_FOUND),
    408: (errors.ModelTimeoutError, "The model took longer than its server allows."),
    413: (errors.UpstreamValidationError, ""),
    422: (errors.UpstreamValidationError, ""),
    429: (errors.ModelThrottledError, "The OpenAI-compatible server is at its limit."),
    500: (errors.UpstreamUnavailableError, "The OpenAI-compatible server had an internal fault."),
    502: (errors.UpstreamUnavailableError, "The OpenAI-compatible server is not available."),
    503: (errors.UpstreamUnavailableError, "The OpenAI-compatible server is not available."),
    504: (errors.ModelTimeoutError, "The model took longer than its server allows."),
    529: (errors.ModelOverloadedError, "The OpenAI-compatible server has no capacity."),
}

# Another instance of this service names its own upstream's failure.
_BY_CODE: Mapping[str, type[errors.UpstreamError]] = {
    error.code: error
    for error in errors.catalogue()
    if issubclass(error, errors.UpstreamError) and error is not errors.UpstreamError
}
_QUOTA = "insufficient_quota"
"""OpenAI's code for a spent quota, which waiting does not refill."""


@contextmanager
def translated() -> Iterator[None]:
    """Raise failures of the connection to the server as an UpstreamError."""
    try:
        yield
    except (http1.ConnectError, http1.ConnectTimeoutError) as error:
        raise errors.UpstreamUnreachableError(
            "No connection to the OpenAI-compatible server could be made."
        ) from error
    except http1.ReadTimeoutError as error:
        raise errors.UpstreamTimeoutError(
            "The OpenAI-compatible server sent nothing within the read timeout "
            "(LLAMA_VISION_READ_TIMEOUT). The call may have been billed."
        ) from error
    except http1.Http1Error as error:
        raise errors.UpstreamDisconnectedError(
            "The connection to the OpenAI-compatible server broke. The call may have been billed."
        ) from error


def refusal(status: int, headers: Mapping[str, str], content: bytes) -> errors.UpstreamError:
    """Return the error for an answer with a status other than 200."""
    code, message = _said(content)
    wait = retry_after(headers.get("retry-after"))
    if code in _BY_CODE:
        return _BY_CODE[code](message, retry_after=wait)
    if code == _QUOTA:
        return errors.UpstreamQuotaError(message)
    if status in BY_STATUS:
        cls, detail = BY_STATUS[status]
        return cls(detail or message, retry_after=wait)
    return errors.UpstreamError(f"The OpenAI-compatible server answered {status}.")


def _said(content: bytes) -> tuple[str, str]:
    """Return an error's code and message: OpenAI's own form, and vLLM's older one."""
    try:
        body = loads(content)
    except ValueError:
        return "", ""
    error = member(body, "error") or (body if isinstance(body, dict) else {})
    return str(error.get("code") or ""), str(error.get("message") or "")
