"""The errors that Amazon Bedrock answers with, as it spells them on the wire."""

from dataclasses import dataclass, field
from typing import Any

import orjson

_CORAL = "http://internal.amazon.com/coral/com.amazon.bedrock/"


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """One exception of the Bedrock API."""

    name: str
    """The name as in the ``x-amzn-ErrorType`` header."""
    status: int
    message: str
    """The message when nothing more particular is known."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Members of the exception's shape besides ``message``."""

    @property
    def frame_type(self) -> str:
        """The name in an event stream's ``:exception-type`` header: lower camel case."""
        return self.name[0].lower() + self.name[1:]


VALIDATION = ErrorKind("ValidationException", 400, "The provided request is not valid.")
QUOTA = ErrorKind(
    "ServiceQuotaExceededException", 400, "Your request exceeds the service quota for your account."
)
ACCESS_DENIED = ErrorKind(
    "AccessDeniedException", 403, "You don't have access to the model with the specified model ID."
)
CONFLICT = ErrorKind("ConflictException", 400, "The request conflicts with another resource.")
NOT_FOUND = ErrorKind("ResourceNotFoundException", 404, "The requested resource was not found.")
RETIRED = ErrorKind(
    "ResourceNotFoundException",
    404,
    "This model version has reached the end of its life."
    " Please refer to the AWS documentation for more details.",
)
LEGACY = ErrorKind(
    "ResourceNotFoundException",
    404,
    "Access denied. This Model is marked by provider as Legacy and you have not been actively"
    " using the model in the last 30 days. Please upgrade to an active model on Amazon Bedrock",
)
MODEL_TIMEOUT = ErrorKind(
    "ModelTimeoutException",
    408,
    "Model has timed out in processing the request. Try your request again.",
)
MODEL_ERROR = ErrorKind(
    "ModelErrorException",
    424,
    "The system encountered an unexpected error during processing. Try your request again.",
    {"originalStatusCode": 500, "resourceName": "llama3-2"},
)
MODEL_STREAM_ERROR = ErrorKind(
    "ModelStreamErrorException",
    424,
    "The system encountered an unexpected error during processing. Try your request again.",
    {"originalStatusCode": 500, "originalMessage": "stream broken"},
)
THROTTLING = ErrorKind(
    "ThrottlingException", 429, "Too many requests, please wait before trying again."
)
NOT_READY = ErrorKind(
    "ModelNotReadyException",
    429,
    "Model is not ready for inference. Wait and try your request again. Refer to"
    " https://docs.aws.amazon.com/bedrock/latest/userguide/invoke-imported-model.html.",
)
# These three are bedrock-agent-runtime's.
KNOWLEDGE_CONFLICT = ErrorKind(
    "ConflictException", 409, "There was a conflict performing an operation."
)
DEPENDENCY_FAILED = ErrorKind(
    "DependencyFailedException",
    424,
    "There was an issue with a dependency. Check the resource and try your request again.",
    {"resourceName": "knowledge-base"},
)
BAD_GATEWAY = ErrorKind(
    "BadGatewayException",
    502,
    "There was an issue with a dependency due to a server issue. Retry your request.",
    {"resourceName": "knowledge-base"},
)
INTERNAL = ErrorKind(
    "InternalServerException",
    500,
    "The system encountered an unexpected error during processing. Try your request again.",
)
UNAVAILABLE = ErrorKind(
    "ServiceUnavailableException", 503, "Bedrock is unable to process your request."
)
UNKNOWN_KEY = ErrorKind(
    "UnrecognizedClientException", 403, "The security token included in the request is invalid."
)
BAD_SIGNATURE = ErrorKind(
    "InvalidSignatureException",
    403,
    "The request signature we calculated does not match the signature you provided. Check your"
    " AWS Secret Access Key and signing method. Consult the service documentation for details.",
)
INCOMPLETE_SIGNATURE = ErrorKind(
    "IncompleteSignatureException", 403, "Authorization header is incomplete."
)
NO_SIGNATURE = ErrorKind("MissingAuthenticationTokenException", 403, "Missing Authentication Token")
UNKNOWN_OPERATION = ErrorKind("UnknownOperationException", 404, "")


class AwsError(Exception):
    """A refusal in AWS's own shape, raised anywhere and rendered at the edge."""

    def __init__(self, kind: ErrorKind, message: str | None = None) -> None:
        self.kind = kind
        self.message = kind.message if message is None else message
        super().__init__(f"{kind.name}: {self.message}")

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The headers that tell an SDK which exception this is."""
        return [
            (b"content-type", b"application/json"),
            (b"x-amzn-errortype", f"{self.kind.name}:{_CORAL}".encode()),
        ]

    @property
    def body(self) -> bytes:
        """The JSON document of the error, in a reply or in an exception frame."""
        return orjson.dumps({"message": self.message, **self.kind.extra})


def invalid(message: str) -> AwsError:
    """Return the 400 that Bedrock gives for a request that breaks the contract."""
    return AwsError(VALIDATION, message)


def refused_by_model(reason: str) -> AwsError:
    """Return the 400 for a request that the model, or the engine that runs it, refuses."""
    return invalid(f"The model returned the following errors: {reason}")


def malformed(violation: str = "") -> AwsError:
    """Return the 400 for a native body that the model's JSON schema refuses."""
    reason = f": {violation}" if violation else ""
    return invalid(f"Malformed input request{reason}, please reformat your input and try again.")
