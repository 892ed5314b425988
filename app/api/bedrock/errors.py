"""Errors in the form of AWS's SDKs: a type in a header, a message in the body."""

from dataclasses import dataclass

import orjson
from fastapi import Response

from app.api.errors import problem
from app.domain import errors
from app.domain.errors import CapacityError, RequestError, ServiceError, UpstreamError

TYPE_HEADER = "x-amzn-ErrorType"
REQUEST_ID_HEADER = "x-amzn-RequestId"


@dataclass(frozen=True, slots=True)
class AwsError:
    """One of AWS's exceptions: its name and its HTTP status."""

    type: str
    status: int

    @property
    def frame_type(self) -> str:
        """The exception's name within an event stream: ``throttlingException``."""
        return self.type[:1].lower() + self.type[1:]


VALIDATION = AwsError("ValidationException", 400)
NOT_FOUND = AwsError("ResourceNotFoundException", 404)
THROTTLING = AwsError("ThrottlingException", 429)
ACCESS_DENIED = AwsError("AccessDeniedException", 403)
UNAVAILABLE = AwsError("ServiceUnavailableException", 503)
TIMEOUT = AwsError("ModelTimeoutException", 408)
MODEL_ERROR = AwsError("ModelErrorException", 424)
INTERNAL = AwsError("InternalServerException", 500)
TRUNCATED = AwsError("ModelStreamErrorException", 424)
UNKNOWN_OPERATION = AwsError("UnknownOperationException", 404)

TABLE: dict[type[ServiceError], AwsError] = {
    errors.NotFoundError: UNKNOWN_OPERATION,
    errors.MethodNotAllowedError: UNKNOWN_OPERATION,
    errors.UnknownModelError: NOT_FOUND,
    errors.CredentialsMissingError: AwsError("MissingAuthenticationTokenException", 403),
    errors.CredentialsInvalidError: AwsError("UnrecognizedClientException", 403),
    errors.CredentialsExpiredError: AwsError("ExpiredTokenException", 403),
    errors.ScopeMissingError: ACCESS_DENIED,
    errors.HostNotAllowedError: ACCESS_DENIED,
    errors.OriginNotAllowedError: ACCESS_DENIED,
    errors.GuardrailPolicyError: ACCESS_DENIED,
    errors.RateLimitedError: THROTTLING,
    errors.BodyTooLargeError: AwsError("RequestEntityTooLargeException", 413),
    errors.DeadlineExceededError: TIMEOUT,
    errors.ModelEndOfLifeError: NOT_FOUND,
    errors.ModelLegacyError: NOT_FOUND,
    errors.ModelNotFoundError: NOT_FOUND,
    errors.OnDemandUnsupportedError: VALIDATION,
    errors.UpstreamAccessDeniedError: ACCESS_DENIED,
    errors.UpstreamCredentialsError: ACCESS_DENIED,
    errors.UpstreamValidationError: VALIDATION,
    errors.ModelThrottledError: THROTTLING,
    errors.UpstreamQuotaError: AwsError("ServiceQuotaExceededException", 400),
    errors.ModelLoadingError: AwsError("ModelNotReadyException", 429),
    errors.ModelOverloadedError: UNAVAILABLE,
    errors.ModelTimeoutError: TIMEOUT,
    errors.UpstreamUnavailableError: UNAVAILABLE,
    errors.UpstreamUnreachableError: UNAVAILABLE,
    errors.CircuitOpenError: UNAVAILABLE,
    errors.UpstreamTimeoutError: TIMEOUT,
    errors.StreamTruncatedError: TRUNCATED,
}
_FAMILIES: tuple[tuple[type[ServiceError], AwsError], ...] = (
    (RequestError, VALIDATION),
    (CapacityError, UNAVAILABLE),
    (UpstreamError, MODEL_ERROR),
    (ServiceError, INTERNAL),
)


def aws_error(error: ServiceError) -> AwsError:
    """Return AWS's exception for ``error``, or for its nearest base class."""
    if type(error) in TABLE:
        return TABLE[type(error)]
    return next(mapped for family, mapped in _FAMILIES if isinstance(error, family))


def message(error: ServiceError) -> bytes:
    """Return the body, which also has our stable code; SDKs ignore it."""
    return orjson.dumps({"message": error.detail, "code": error.code})


def response(error: ServiceError, request_id: str) -> Response:
    """Render ``error`` in AWS's form."""
    described = aws_error(error)
    return Response(
        message(error),
        status_code=described.status,
        media_type="application/json",
        headers={
            **problem.headers(error),
            TYPE_HEADER: described.type,
            REQUEST_ID_HEADER: request_id,
        },
    )
