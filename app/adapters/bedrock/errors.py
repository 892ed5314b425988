"""Translates AWS's and the network's failures, by one table and one context manager."""

import socket

import aiohttp
import structlog
from botocore import exceptions as aws
from botocore.eventstream import ParserError
from botocore.parsers import ResponseParserError

from app.adapters.bedrock.aws_refusal import FRONT_DOOR, AwsRefusal
from app.adapters.http1 import errors as http1
from app.domain import errors

log = structlog.get_logger()

_END_OF_LIFE = (
    "The configured model version is retired on Amazon Bedrock. The operator can import the same "
    "weights (Custom Model Import) and set LLAMA_VISION_MODEL_ID to the imported model's ARN, or "
    "name a successor there."
)
_LEGACY = (
    "The configured model is legacy on Amazon Bedrock and closed to AWS accounts that have not "
    "used it lately. The operator can set LLAMA_VISION_MODEL_ID to an imported model's ARN or to "
    "a successor."
)
_NOT_FOUND = (
    "Amazon Bedrock does not know the configured model id in the configured region. The operator "
    "should check LLAMA_VISION_MODEL_ID and LLAMA_VISION_REGION."
)
_ON_DEMAND = (
    "The configured model is not served on demand under its bare id. The operator should set "
    "LLAMA_VISION_MODEL_ID to its inference profile, such as us.meta.llama3-2-11b-instruct-v1:0."
)
_ACCESS_DENIED = (
    "The service's AWS identity may not call the configured model. The operator should grant "
    "bedrock:InvokeModel and bedrock:InvokeModelWithResponseStream on the inference profile and "
    "on the model in each of its regions, and check model access; a new subscription takes "
    "about 15 minutes."
)
CREDENTIALS = (
    "The service has no valid AWS credentials. The operator should check what AWS's own chain "
    "finds (environment, profile, role, or AWS_BEARER_TOKEN_BEDROCK, which wins over the others), "
    "whether it has expired, and the machine's clock."
)

# Bedrock's name -> our class, and the message; "" passes Bedrock's own message on.
TABLE: dict[str, tuple[type[errors.UpstreamError], str]] = {
    "AccessDeniedException": (errors.UpstreamAccessDeniedError, _ACCESS_DENIED),
    "ConflictException": (errors.UpstreamValidationError, ""),
    "InternalServerException": (
        errors.UpstreamUnavailableError,
        "Amazon Bedrock had an internal fault.",
    ),
    "ModelErrorException": (errors.ModelFailedError, "The model failed while answering."),
    "ModelNotReadyException": (
        errors.ModelLoadingError,
        "The imported model is being loaded; it answers within minutes.",
    ),
    "ModelStreamErrorException": (errors.ModelFailedError, "The model failed while answering."),
    "ModelTimeoutException": (
        errors.ModelTimeoutError,
        "The model took longer than Amazon Bedrock allows; a smaller limit of tokens helps.",
    ),
    "ResourceNotFoundException": (errors.ModelNotFoundError, _NOT_FOUND),
    "ServiceQuotaExceededException": (
        errors.UpstreamQuotaError,
        "An AWS service quota is used up. The operator can ask for more in Service Quotas.",
    ),
    "ServiceUnavailableException": (
        errors.UpstreamUnavailableError,
        "Amazon Bedrock is not available at the moment.",
    ),
    "ThrottlingException": (
        errors.ModelThrottledError,
        "Amazon Bedrock's token quota is used up for the moment. It reserves the limit of tokens "
        "up front, so a smaller one helps.",
    ),
    "ValidationException": (errors.UpstreamValidationError, ""),
    **dict.fromkeys(FRONT_DOOR, (errors.UpstreamCredentialsError, CREDENTIALS)),
}

# For an answer with no AWS error type, as load balancers send them.
_BY_STATUS = {
    400: "ValidationException",
    401: "UnrecognizedClientException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    500: "InternalServerException",
    502: "ServiceUnavailableException",
    503: "ServiceUnavailableException",
    504: "ServiceUnavailableException",
}

# Bedrock puts these into the message of a broader error.
_BY_MESSAGE: tuple[tuple[str, type[errors.UpstreamError], str], ...] = (
    ("end of its life", errors.ModelEndOfLifeError, _END_OF_LIFE),
    ("end of life", errors.ModelEndOfLifeError, _END_OF_LIFE),
    ("legacy", errors.ModelLegacyError, _LEGACY),
    ("on-demand throughput isn", errors.OnDemandUnsupportedError, _ON_DEMAND),
    ("model identifier is invalid", errors.ModelNotFoundError, _NOT_FOUND),
)
# Bedrock's message for a refused API key, in the name of a lacking permission.
_BAD_KEY = (
    "authentication failed",
    "api key",
    "bearer token",
    "security token",
    "token has expired",
    "token is expired",
)
# A lacking permission may name bedrock:CallWithBearerToken.
_LACKING = ("not authorized to perform", "explicit deny")
_SPEAKING = ("ResourceNotFoundException", "ValidationException", "AccessDeniedException")


_CREDENTIALS = (
    aws.NoCredentialsError,
    aws.PartialCredentialsError,
    aws.CredentialRetrievalError,
    aws.SSOError,
    aws.TokenRetrievalError,
    aws.ProfileNotFound,
)
_TIMEOUTS = (http1.ReadTimeoutError, aws.ReadTimeoutError, aiohttp.SocketTimeoutError)
_UNREADABLE = (aws.ParamValidationError, ResponseParserError)
_OTHERS = (
    http1.Http1Error,
    aws.BotoCoreError,
    ParserError,
    aiohttp.ClientError,
    TimeoutError,
    OSError,
)


def translation(error: Exception) -> errors.UpstreamError | None:
    """Return ``error`` as one of `app.domain.errors`; None if it is not AWS's."""
    if isinstance(error, aws.ClientError):
        return from_client_error(error)
    if isinstance(error, _CREDENTIALS):
        return errors.UpstreamCredentialsError(CREDENTIALS)
    if isinstance(error, _TIMEOUTS):
        return errors.UpstreamTimeoutError(
            "Amazon Bedrock sent nothing within the read timeout (LLAMA_VISION_READ_TIMEOUT). "
            "The call may have been billed."
        )
    if isinstance(error, _UNREADABLE):
        return errors.UpstreamError("The AWS SDK can't read or write this call.")
    return _connection_error(error) if isinstance(error, _OTHERS) else None


class translated:  # noqa: N801 - reads as a function
    """Raises the errors of AWS's client as an `app.domain.errors.UpstreamError`."""

    __slots__ = ()
    translation = staticmethod(translation)
    """The translation, which a subclass replaces for another service."""

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        """Raise the translation, if there is one."""
        if isinstance(error, Exception) and (translation := self.translation(error)) is not None:
            raise translation from error


def _connection_error(error: Exception) -> errors.UpstreamError:
    # The SDK still fetches credentials. aiobotocore calls a reset in the middle of a call an
    # EndpointConnectionError too; what aiohttp raised tells whether a connection was ever made.
    cause = error.kwargs.get("error") if isinstance(error, aws.BotoCoreError) else error
    never = (
        http1.ConnectError,
        http1.ConnectTimeoutError,
        aiohttp.ClientConnectorError,
        aiohttp.ConnectionTimeoutError,
        aiohttp.ClientHttpProxyError,
        aws.ConnectTimeoutError,
        aws.ProxyConnectionError,
    )
    if isinstance(error, never) or isinstance(cause, (*never, socket.gaierror)):
        return errors.UpstreamUnreachableError("No connection to Amazon Bedrock could be made.")
    return errors.UpstreamDisconnectedError(
        "The connection to Amazon Bedrock broke. The call may have been billed."
    )


def from_client_error(error: aws.ClientError) -> errors.UpstreamError:
    """Translate an error reply or an event-stream exception.

    AWS's own sentence about permissions is for the log: it may name accounts and roles.
    """
    refusal = AwsRefusal.from_error(error)
    failure = _failure(refusal)
    if isinstance(failure, (errors.UpstreamCredentialsError, errors.UpstreamAccessDeniedError)):
        log.warning("aws refused the call", code=failure.code, said=refusal.for_log)
    return failure


def _failure(refusal: AwsRefusal) -> errors.UpstreamError:
    name, message = refusal.name_among(TABLE, _BY_STATUS), refusal.message
    if name in _SPEAKING:
        for words, cls, detail in _BY_MESSAGE:
            if words in message.lower():
                return cls(detail)
    if name == "AccessDeniedException" and _names_bad_key(message.lower()):
        return errors.UpstreamCredentialsError(CREDENTIALS)
    if name == "ModelErrorException" and 400 <= refusal.original_status < 500:
        return errors.UpstreamValidationError(message)
    if name in TABLE:
        cls, detail = TABLE[name]
        return cls(detail or message, retry_after=refusal.retry_after)
    if refusal.status == 529:
        return errors.ModelOverloadedError(
            "Amazon Bedrock has no capacity for the model at the moment.",
            retry_after=refusal.retry_after,
        )
    named = name or refusal.status or "an error that has no name"
    return errors.UpstreamError(f"Amazon Bedrock answered {named}.")


def _names_bad_key(message: str) -> bool:
    return any(words in message for words in _BAD_KEY) and not any(
        words in message for words in _LACKING
    )
