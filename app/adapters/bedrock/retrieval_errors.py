"""Failures of bedrock-agent-runtime as errors of the domain: one table, one context manager.

It is separate from `app.adapters.bedrock.errors`, as the same names mean something else there: a
conflict of the model is a fault of the request, while one of a knowledge base passes.
"""

import structlog
from botocore.exceptions import ClientError

from app.adapters.bedrock import errors as bedrock
from app.adapters.bedrock.aws_refusal import FRONT_DOOR, SENTENCE, AwsRefusal
from app.domain import errors

log = structlog.get_logger()

CREDENTIALS = (
    "Knowledge bases are called with AWS credentials (environment, profile or role); a Bedrock API "
    "key can't call them. The operator should check what AWS's own chain finds, whether it has "
    "expired, and the machine's clock."
)
_DENIED = (
    "The service's AWS identity may not query this knowledge base. The operator should grant "
    "bedrock:Retrieve on it, and bedrock:Rerank with bedrock:InvokeModel where it ranks again."
)
_BUSY = "The knowledge base is being changed, as at the end of a data source's sync; try again."
_STORE = (
    "What the knowledge base depends on failed: its vector store, its embedding model or a key. "
    "The operator should look at its status in Amazon Bedrock."
)
_REFUSED = "Amazon Bedrock refused the retrieval: "

TABLE: dict[str, tuple[type[errors.UpstreamError], str]] = {
    "AccessDeniedException": (errors.RetrievalAccessDeniedError, _DENIED),
    "BadGatewayException": (
        errors.UpstreamUnavailableError,
        "What the knowledge base depends on is not available at the moment.",
    ),
    "ConflictException": (errors.KnowledgeBaseBusyError, _BUSY),
    "DependencyFailedException": (errors.KnowledgeBaseDependencyError, _STORE),
    "InternalServerException": (
        errors.UpstreamUnavailableError,
        "Amazon Bedrock had an internal fault.",
    ),
    "ResourceNotFoundException": (
        errors.KnowledgeBaseNotFoundError,
        "Amazon Bedrock does not know the configured knowledge base in its region. The operator "
        "should check LLAMA_VISION_KNOWLEDGE_BASES.",
    ),
    "ServiceQuotaExceededException": (
        errors.UpstreamQuotaError,
        "An AWS service quota is used up. The operator can ask for more in Service Quotas.",
    ),
    "ThrottlingException": (
        errors.RetrievalThrottledError,
        "Amazon Bedrock's quota for retrievals is used up for the moment.",
    ),
    "ValidationException": (errors.RetrievalRefusedError, ""),
    # Not in the service's model: AWS's common errors, from its front door.
    "ServiceUnavailableException": (
        errors.UpstreamUnavailableError,
        "Amazon Bedrock is not available at the moment.",
    ),
    **dict.fromkeys(FRONT_DOOR, (errors.UpstreamCredentialsError, CREDENTIALS)),
}
_BY_STATUS = {
    400: "ValidationException",
    401: "UnrecognizedClientException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    409: "ConflictException",
    424: "DependencyFailedException",
    429: "ThrottlingException",
    500: "InternalServerException",
    502: "BadGatewayException",
    503: "ServiceUnavailableException",
    504: "ServiceUnavailableException",
}
_PAUSED = "auto-paused"
"""The message of Aurora, as a store, until it has resumed."""
# Unlike the model's errors, none of these may have been billed: nothing is generated.
_REWORDED: dict[type[errors.UpstreamError], str] = {
    errors.UpstreamTimeoutError: "The knowledge base sent nothing within the read timeout "
    "(LLAMA_VISION_READ_TIMEOUT).",
    errors.UpstreamDisconnectedError: "The connection to the knowledge base broke.",
    errors.UpstreamUnreachableError: "No connection to the knowledge base could be made.",
    errors.UpstreamCredentialsError: CREDENTIALS,
}


def translation(error: Exception) -> errors.UpstreamError | None:
    """Return ``error`` as one of `app.domain.errors`; None if it is not AWS's."""
    if isinstance(error, ClientError):
        return from_client_error(error)
    general = bedrock.translation(error)
    reworded = None if general is None else _REWORDED.get(type(general))
    return general if general is None or reworded is None else type(general)(reworded)


class translated(bedrock.translated):  # noqa: N801 - reads as a function
    """Raises the errors of a call as an `app.domain.errors.UpstreamError`."""

    __slots__ = ()
    translation = staticmethod(translation)


def from_client_error(error: ClientError) -> errors.UpstreamError:
    """Translate an error reply.

    AWS's own sentence is for the log where it may name accounts, stores and keys; its message about
    an invalid request is passed on.
    """
    refusal = AwsRefusal.from_error(error)
    name, message = refusal.name_among(TABLE, _BY_STATUS), refusal.first_line
    if _PAUSED in message:
        return errors.KnowledgeBaseBusyError("The knowledge base's store is being resumed.")
    if name not in TABLE:
        return errors.UpstreamError(
            f"Amazon Bedrock answered {name or refusal.status or 'no name'}."
        )
    cls, detail = TABLE[name]
    if not detail:
        return cls(_REFUSED + message[:SENTENCE])
    if not cls.retryable or cls is errors.KnowledgeBaseDependencyError:
        log.warning("aws refused the retrieval", code=cls.code, said=refusal.for_log)
    return cls(detail, retry_after=refusal.retry_after)
