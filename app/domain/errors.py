"""The error catalogue: every failure that a caller can be told about.

::

    ServiceError
    ├── RequestError          the caller can correct it; nothing was spent
    │   ├── AccessError       the caller may not call, or may not call this
    │   └── ImageError        a picture is at fault
    ├── CapacityError         this service is too busy; the same call may work later
    └── UpstreamError         Amazon Bedrock refused or failed

A class is one stable ``code``. How a code is rendered (RFC 9457, or an SDK's own shape)
is up to `app.api`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Self

from app.domain.guardrail import GuardrailReport
from app.domain.limit import QuotaStatus
from app.domain.usage import Usage


@dataclass(frozen=True, slots=True)
class FieldError:
    """One offending field of a request."""

    field: str
    """Path of the field, dotted, with list positions: ``images.0``."""
    code: str
    """The kind of fault, for example ``unknown_field``."""
    message: str
    """The fault, and what would be accepted."""


class ServiceError(Exception):
    """A failure with a stable code. Never carries prompts, image bytes or keys."""

    code: ClassVar[str]
    status: ClassVar[int]
    """The HTTP status it is answered with."""
    title: ClassVar[str]
    """A short title, the same for every occurrence."""
    retryable: bool = False
    """Whether the same call may succeed later."""
    billed: ClassVar[bool] = False
    """Whether a call of the model may have been billed all the same."""
    usage: Usage | None = None
    """The tokens used so far, if a guardrail blocked an answer."""
    report: GuardrailReport | None = None
    """The guardrails' report up to the error."""

    def __init__(
        self,
        detail: str,
        *,
        errors: tuple[FieldError, ...] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        """The fault of this occurrence, and what would be accepted."""
        self.errors = errors
        self.retry_after = retry_after
        """Seconds after which a retry is worthwhile, if known."""

    @classmethod
    def at(cls, field: str, message: str) -> Self:
        """Return the error for one ``field``, which the detail and ``errors`` name."""
        return cls(f"{field}: {message}", errors=(FieldError(field, cls.code, message),))


# --- the caller can mend it -------------------------------------------------------------


class RequestError(ServiceError):
    """The request is at fault."""


class NotFoundError(RequestError):
    """No such path."""

    code, status, title = "not_found", 404, "Not found"


class FileNotFoundHereError(RequestError):
    """The caller has no such file: it never existed, was deleted, or has expired."""

    code, status, title = "file_not_found", 404, "No such file"


class FileTooLargeError(RequestError):
    """A file has more bytes than the limit."""

    code, status, title = "file_too_large", 413, "File too large"


class FileQuotaError(RequestError):
    """The caller's files would have more bytes together than the limit."""

    code, status, title = "file_quota_exceeded", 403, "File quota exceeded"


class FilePurposeError(RequestError):
    """The file was uploaded for another purpose than this one."""

    code, status, title = "file_purpose", 422, "File of another purpose"


class RangeNotSatisfiableError(RequestError):
    """The range that was asked for lies beyond the file's end."""

    code, status, title = "range_not_satisfiable", 416, "Range not satisfiable"
    size: int = 0
    """Bytes of the file."""

    @classmethod
    def beyond(cls, size: int) -> Self:
        """Return the error for a file of ``size`` bytes."""
        error = cls(f"the file has {size:,} bytes")
        error.size = size
        return error


class UploadsDisabledError(RequestError):
    """Uploads past the service need files to be kept in S3."""

    code, status, title = "uploads_disabled", 422, "Uploads are switched off"


class UploadIncompleteError(RequestError):
    """The upload's bytes have not arrived in the store, or are not as many as were announced."""

    code, status, title = "upload_incomplete", 422, "Upload incomplete"


class BatchNotFoundError(RequestError):
    """The caller has no such batch."""

    code, status, title = "batch_not_found", 404, "No such batch"


class BatchStateError(RequestError):
    """The batch is in a state in which this can't be done."""

    code, status, title = "batch_state", 409, "Batch is in another state"


class BatchCancelledError(RequestError):
    """The batch was cancelled before this row was begun."""

    code, status, title = "batch_cancelled", 409, "Batch cancelled"


class BatchExpiredError(RequestError):
    """The batch's completion window ended before this row was answered."""

    code, status, title = "batch_expired", 409, "Batch expired"


class BatchInputGoneError(RequestError):
    """The batch's input file was deleted before this row was begun."""

    code, status, title = "batch_input_gone", 409, "Batch input gone"


class MethodNotAllowedError(RequestError):
    """The path exists, but not for this method."""

    code, status, title = "method_not_allowed", 405, "Method not allowed"


class UnsupportedContentTypeError(RequestError):
    """The body is in a form that this endpoint does not take."""

    code, status, title = "unsupported_content_type", 415, "Unsupported content type"


class BodyTooLargeError(RequestError):
    """The request body is over the limit."""

    code, status, title = "body_too_large", 413, "Request body too large"


class BodyTimeoutError(RequestError):
    """The request's body did not arrive within the limit."""

    code, status, title, retryable = "body_timeout", 408, "Request body took too long", True


class MalformedRequestError(RequestError):
    """The request is not HTTP/1.1, has not one Host, has too long a head, or a doubtful end."""

    code, status, title = "malformed_request", 400, "Malformed request"


class HostNotAllowedError(RequestError):
    """The request came by a host name that is not this service's."""

    code, status, title = "host_not_allowed", 421, "Host not allowed"


class OriginNotAllowedError(RequestError):
    """A browser sent the request for a page of an origin that may not call."""

    code, status, title = "origin_not_allowed", 403, "Origin not allowed"


class MalformedJsonError(RequestError):
    """The body is not JSON."""

    code, status, title = "malformed_json", 400, "Malformed JSON"


class MalformedBodyError(RequestError):
    """The multipart body can't be parsed, or the connection ended within it."""

    code, status, title = "malformed_body", 400, "Malformed request body"


class InvalidParameterError(RequestError):
    """A field has the wrong type or a value out of its range."""

    code, status, title = "invalid_parameter", 422, "Invalid parameter"


class ContextLengthError(InvalidParameterError):
    """The texts are longer than the model's context window."""

    code, status, title = "context_length_exceeded", 422, "Context length exceeded"


class UnknownFieldError(RequestError):
    """A field that the endpoint does not know."""

    code, status, title = "unknown_field", 422, "Unknown field"


class UnsupportedParameterError(RequestError):
    """A field of a foreign dialect that the model can't honour and that would change the answer."""

    code, status, title = "unsupported_parameter", 422, "Unsupported parameter"


class UnknownModelError(RequestError):
    """The request names a model that is not served here."""

    code, status, title = "unknown_model", 404, "Unknown model"


class UnknownKnowledgeBaseError(RequestError):
    """The request names a knowledge base that is not served here, or not to this caller."""

    code, status, title = "unknown_knowledge_base", 404, "Unknown knowledge base"


class PromptMissingError(RequestError):
    """Neither a prompt nor an image was given."""

    code, status, title = "prompt_missing", 422, "Prompt missing"


class InvalidBase64Error(RequestError):
    """An image's text is not base64, or not a base64 data URI."""

    code, status, title = "invalid_base64", 422, "Invalid base64"


# --- the caller is not let in ------------------------------------------------------------


class AccessError(RequestError):
    """The caller may not call, or may not call this."""


class CredentialsMissingError(AccessError):
    """Neither an API key nor a token was sent."""

    code, status, title = "credentials_missing", 401, "Credentials missing"


class CredentialsInvalidError(AccessError):
    """The key or token is unknown, revoked, or not for this service."""

    code, status, title = "credentials_invalid", 401, "Credentials invalid"


class CredentialsExpiredError(AccessError):
    """The token was good once."""

    code, status, title = "credentials_expired", 401, "Credentials expired"


class ScopeMissingError(AccessError):
    """The key or token is good, but not for this endpoint."""

    code, status, title = "scope_missing", 403, "Scope missing"


class RateLimitedError(AccessError):
    """The caller used up one of its limits, which the detail names."""

    code, status, title, retryable = "rate_limited", 429, "Rate limited", True

    def __init__(
        self,
        detail: str,
        *,
        errors: tuple[FieldError, ...] = (),
        retry_after: float | None = None,
        quota_statuses: tuple[QuotaStatus, ...] = (),
        retryable: bool = True,
    ) -> None:
        super().__init__(detail, errors=errors, retry_after=retry_after)
        self.retryable = retryable
        self.quota_statuses = quota_statuses
        """The quota that was used up."""


# --- long work ---------------------------------------------------------------------------


class JobNotFoundError(RequestError):
    """The caller has no such job, or it has expired."""

    code, status, title = "job_not_found", 404, "Job not found"


class WebhooksDisabledError(RequestError):
    """The request names a webhook, but they are switched off."""

    code, status, title = "webhooks_disabled", 422, "Webhooks switched off"


class WebhookUrlNotAllowedError(RequestError):
    """A webhook's URL whose scheme or host is not on the operator's list."""

    code, status, title = "webhook_url_not_allowed", 422, "Webhook URL not allowed"


class BatchEngineError(RequestError):
    """Bedrock's own batch jobs were asked for, but can't take this batch."""

    code, status, title = "batch_engine_unavailable", 422, "Batch engine can't take this batch"


# --- a picture is at fault --------------------------------------------------------------


class ImageError(RequestError):
    """A picture can't be used. Always raised before anything is spent."""


class TooManyImagesError(ImageError):
    """More pictures than one request may carry."""

    code, status, title = "too_many_images", 422, "Too many images"


class ImagesMissingError(ImageError):
    """Fewer pictures than the task needs."""

    code, status, title = "images_missing", 422, "Images missing"


class NotAnImageError(ImageError):
    """The bytes are empty, or no picture that can be recognised."""

    code, status, title = "not_an_image", 422, "Not an image"


class UnsupportedImageTypeError(ImageError):
    """A recognised file type that is not accepted here."""

    code, status, title = "unsupported_image_type", 415, "Unsupported image type"


class ImageTooLargeError(ImageError):
    """A picture has more bytes than the limit."""

    code, status, title = "image_too_large", 413, "Image too large"


class ImageTooManyPixelsError(ImageError):
    """A picture has more pixels, or a longer side, than the limit. Read from its header."""

    code, status, title = "image_too_many_pixels", 413, "Image has too many pixels"


class ImageDamagedError(ImageError):
    """A recognised picture that is cut off or can't be decoded."""

    code, status, title = "image_damaged", 422, "Image is damaged"


class ImageBombError(ImageError):
    """A picture made to exhaust a decoder: endless frames, chunks or metadata."""

    code, status, title = "image_decompression_bomb", 413, "Image exceeds the limits when unpacked"


class ExtremeAspectRatioError(ImageError):
    """A picture so narrow that nothing of it is left at the size the model takes."""

    code, status, title = "extreme_aspect_ratio", 422, "Extreme aspect ratio"


class ImageOverBudgetError(ImageError):
    """A picture can't be made small enough for the byte budget."""

    code, status, title = "image_over_budget", 422, "Image over the byte budget"


class DocumentLockedError(ImageError):
    """A document needs a password, a certificate or another key to be opened."""

    code, status, title = "document_locked", 422, "Document is locked"


class DocumentEmptyError(ImageError):
    """A document without a page."""

    code, status, title = "document_without_pages", 422, "Document has no pages"


class PageNotShownError(ImageError):
    """A page that shows nothing, although it has text or pictures: hidden, or not to be drawn."""

    code, status, title = "page_not_shown", 422, "Page shows none of its content"


class TooManyPagesError(ImageError):
    """More pages than one request may ask about."""

    code, status, title = "too_many_pages", 422, "Too many pages"


class ImageTimeoutError(ImageError):
    """Decoding took more CPU than one picture, or one request, may take; it was stopped."""

    code, status, title = "image_prepare_timeout", 422, "Image took too long to decode"


class ImageDecoderBusyError(ImageTimeoutError):
    """The machine was too busy to decode a picture in time; it may be good."""

    code, status, title = "image_decoder_busy", 503, "Image decoders are too busy"
    retryable = True


class ImageDecoderError(ImageError):
    """A picture crashed its decoder or needed more memory than a decoder has."""

    code, status, title = "image_decoder_failed", 422, "Image crashed its decoder"


# --- a picture that is only named can't be fetched --------------------------------------


class ImageSourceDisabledError(ImageError):
    """Pictures from this kind of source are switched off."""

    code, status, title = "image_source_disabled", 422, "Image source switched off"


class ImageUrlNotAllowedError(ImageError):
    """A URL, or one it redirects to, whose scheme or host is not on the operator's list."""

    code, status, title = "image_url_not_allowed", 422, "Image URL not allowed"


class ImageAddressForbiddenError(ImageError):
    """A URL's host has an address that is private, local or otherwise not public."""

    code, status, title = "image_url_forbidden_address", 422, "Image URL leads to a private address"


class ImageTooManyRedirectsError(ImageError):
    """A URL redirects more often than is followed."""

    code, status, title = "image_url_too_many_redirects", 422, "Image URL redirects too often"


class ImageS3NotAllowedError(ImageError):
    """An S3 bucket or key that is not on the operator's list."""

    code, status, title = "image_s3_not_allowed", 422, "S3 bucket not allowed"


class ImageSourceNotFoundError(ImageError):
    """There is nothing under the picture's URL or S3 key."""

    code, status, title = "image_source_not_found", 422, "Image not found at its source"


class ImageSourceDeniedError(ImageError):
    """The picture's source doesn't let this service read it."""

    code, status, title = "image_source_access_denied", 422, "Image source denied access"


class ImageSourceUnavailableError(ImageError):
    """The picture's source can't be reached, failed, or broke off."""

    code, status, title = "image_source_unavailable", 502, "Image source unavailable"
    retryable = True


class ImageSourceTimeoutError(ImageError):
    """The picture's source took longer than this service waits."""

    code, status, title = "image_source_timeout", 504, "Image source timed out"
    retryable = True


# --- this service is too busy -----------------------------------------------------------


class CapacityError(ServiceError):
    """This service can't take the call now."""

    retryable = True


class OverloadedError(CapacityError):
    """Too many requests are waiting for the model, or this one waited too long for its turn."""

    code, status, title = "service_overloaded", 503, "Service overloaded"


class ShuttingDownError(CapacityError):
    """The service is being stopped and could not finish the answer in its grace time."""

    code, status, title = "shutting_down", 503, "Service is shutting down"
    billed = True


class GuardrailPolicyError(RequestError):
    """The request asks for a laxer guardrail policy than the operator's, or names another one."""

    code, status, title = "guardrail_policy", 403, "Guardrail policy not allowed"


class GuardrailBlockedError(RequestError):
    """A guardrail blocked the prompt, a picture or the answer."""

    code, status, title = "guardrail_blocked", 422, "Blocked by a guardrail"


class GuardrailUnavailableError(CapacityError):
    """The guardrail can't be asked, and nothing passes unchecked."""

    code, status, title = "guardrail_unavailable", 503, "Guardrail unavailable"


class IdempotencyConflictError(RequestError):
    """The Idempotency-Key was used for another request."""

    code, status, title = "idempotency_conflict", 422, "Idempotency-Key used for another request"


class NotReadyError(CapacityError):
    """The service can't serve requests yet, or no longer."""

    code, status, title = "not_ready", 503, "Not ready"


class DeadlineExceededError(CapacityError):
    """The request's deadline passed before its answer was ready."""

    code, status, title = "deadline_exceeded", 504, "Deadline exceeded"
    billed = True


class IdentityProviderError(CapacityError):
    """Tokens can't be checked: their issuer's keys are not available."""

    code, status, title = "identity_provider_unavailable", 503, "Identity provider unavailable"


class LimiterUnavailableError(CapacityError):
    """Limits can't be counted, and the service is configured to refuse calls meanwhile."""

    code, status, title = "limiter_unavailable", 503, "Rate limiter unavailable"


class UsageStoreError(CapacityError):
    """The usage store can't be reached; answers are given all the same."""

    code, status, title = "usage_store_unavailable", 503, "Usage store unavailable"


class AnswerStoreError(CapacityError):
    """The answer cache's store can't be reached; answers are given all the same."""

    code, status, title = "answer_store_unavailable", 503, "Answer store unavailable"


class DataKeyError(CapacityError):
    """Kept data can't be read or written: its key is missing, or the data was changed."""

    code, status, title = "data_key_unavailable", 503, "Data key unavailable"


class AuditUnavailableError(CapacityError):
    """The audit log can't be written or read; where the operator says so, calls wait for it."""

    code, status, title = "audit_unavailable", 503, "Audit log unavailable"


class AuditRecordMissingError(RequestError):
    """The audit log has no such record, or keeps only its hash."""

    code, status, title = "audit_record_missing", 404, "No such audit record"


class WorkQueueError(CapacityError):
    """The queue of batches and jobs can't be read or written: its disk or database is away."""

    code, status, title = "work_queue_unavailable", 503, "Work queue unavailable"


class FileStoreError(CapacityError):
    """The store of files can't be reached, or what it keeps can't be read."""

    code, status, title = "file_store_unavailable", 503, "File store unavailable"


class StorageFullError(CapacityError):
    """There is no room left where the service keeps files and work."""

    code, status, title = "storage_full", 507, "Storage full"


class InternalError(ServiceError):
    """A fault of this service; the log has its trace under the request's id."""

    code, status, title = "internal_error", 500, "Internal error"


# --- Amazon Bedrock refused or failed ---------------------------------------------------


class UpstreamError(ServiceError):
    """Amazon Bedrock refused or failed, in a way that no other class describes."""

    code, status, title = "upstream_error", 502, "Upstream error"


class ModelEndOfLifeError(UpstreamError):
    """The configured model version is retired on Bedrock."""

    code, status, title = "model_end_of_life", 502, "Model reached its end of life"


class ModelLegacyError(UpstreamError):
    """The configured model is legacy and closed to accounts that did not use it lately."""

    code, status, title = "model_legacy", 502, "Model is legacy and closed to this account"


class ModelNotFoundError(UpstreamError):
    """Bedrock does not know the configured model id in the configured region."""

    code, status, title = "model_not_found", 502, "Model not found upstream"


class OnDemandUnsupportedError(UpstreamError):
    """The configured id is a bare model id; the model is only served by an inference profile."""

    code, status, title = "on_demand_unsupported", 502, "Model needs an inference profile"


class UpstreamAccessDeniedError(UpstreamError):
    """The service's AWS identity may not call the model."""

    code, status, title = "upstream_access_denied", 502, "Access denied by AWS"


class UpstreamCredentialsError(UpstreamError):
    """The service has no AWS credentials, or AWS does not accept them."""

    code, status, title = "upstream_credentials", 502, "AWS credentials missing or refused"


class ResidencyError(UpstreamError):
    """A place that data would go to is outside the regions that the operator allows."""

    code, status, title = "residency_violation", 503, "Outside the allowed regions"


class UpstreamValidationError(UpstreamError):
    """Bedrock found the request invalid although this service let it through."""

    code, status, title = "upstream_validation", 400, "Request refused by the model"


class OutputFormRefusedError(UpstreamValidationError):
    """The upstream can't hold an answer to the schema or the choice that was asked for."""

    code, status, title = "output_form_refused", 400, "Form of the answer refused by the model"


class ModelThrottledError(UpstreamError):
    """Bedrock's token quota is used up for the moment."""

    code, status, title, retryable = "model_throttled", 429, "Model throttled", True


class UpstreamQuotaError(UpstreamError):
    """An account quota is used up; waiting does not help."""

    code, status, title = "upstream_quota_exceeded", 429, "AWS service quota exceeded"


class ModelLoadingError(UpstreamError):
    """An imported model is being loaded; it answers within minutes."""

    code, status, title, retryable = "model_loading", 503, "Model is loading", True


class ModelOverloadedError(UpstreamError):
    """Bedrock has no capacity for the model at the moment."""

    code, status, title, retryable = "model_overloaded", 503, "Model overloaded", True


class ModelTimeoutError(UpstreamError):
    """The model took longer than Bedrock allows."""

    code, status, title, retryable = "model_timeout", 504, "Model timed out", True
    billed = True


class ModelFailedError(UpstreamError):
    """The model failed while answering."""

    code, status, title, retryable = "model_failed", 502, "Model failed", True


class UpstreamUnavailableError(UpstreamError):
    """Bedrock answered with a server fault."""

    code, status, title, retryable = "upstream_unavailable", 503, "Upstream unavailable", True


class UpstreamUnreachableError(UpstreamError):
    """No connection to Bedrock could be made; nothing was sent."""

    code, status, title, retryable = "upstream_unreachable", 502, "Upstream unreachable", True


class UpstreamDisconnectedError(UpstreamError):
    """The connection to Bedrock broke after the call was sent. It may have been billed."""

    code, status, title, retryable = "upstream_disconnected", 502, "Upstream disconnected", True
    billed = True


class KnowledgeBaseNotFoundError(UpstreamError):
    """Bedrock does not know the configured knowledge base."""

    code, status, title = "knowledge_base_not_found", 502, "Knowledge base not found upstream"


class KnowledgeBaseBusyError(UpstreamError):
    """The knowledge base is being changed, as at the end of a data source's sync."""

    code, status, title, retryable = "knowledge_base_busy", 503, "Knowledge base busy", True


class KnowledgeBaseDependencyError(UpstreamError):
    """A dependency of a knowledge base failed: its vector store, its embedding model, a key."""

    code, status, title = "knowledge_base_dependency_failed", 502, "Knowledge base's store failed"
    retryable = True


class RetrievalThrottledError(UpstreamError):
    """Bedrock's quota for retrievals is used up for the moment."""

    code, status, title, retryable = "retrieval_throttled", 429, "Retrieval throttled", True


class RetrievalRefusedError(UpstreamError):
    """Bedrock found a retrieval invalid, as where its store does not know an operator."""

    code, status, title = "retrieval_refused", 400, "Retrieval refused by the knowledge base"


class RetrievalAccessDeniedError(UpstreamError):
    """The service's AWS identity may not ask the knowledge base."""

    code, status, title = "retrieval_access_denied", 502, "Access to the knowledge base denied"


class RetrievalUnreadableError(UpstreamError):
    """A knowledge base's answer can't be read."""

    code, status, title = "retrieval_unreadable", 502, "Knowledge base's answer unreadable"


class CircuitOpenError(UpstreamError):
    """The target failed repeatedly and is left alone for a while."""

    code, status, title, retryable = "upstream_circuit_open", 503, "Upstream left alone", True


class UpstreamTimeoutError(UpstreamError):
    """No answer within the read timeout. The call may have been billed."""

    code, status, title = "upstream_timeout", 504, "Upstream timed out"
    billed = True


class StreamTruncatedError(UpstreamError):
    """The stream ended without its final chunk."""

    code, status, title, retryable = "stream_truncated", 502, "Stream ended early", True
    billed = True


class UpstreamAnswerError(UpstreamError):
    """Bedrock's answer can't be read."""

    code, status, title = "upstream_answer_unreadable", 502, "Upstream answer unreadable"
    billed = True


def catalogue() -> Iterator[type[ServiceError]]:
    """Every class that has a code, parents before children."""
    pending: list[type[ServiceError]] = [ServiceError]
    while pending:
        error = pending.pop(0)
        if "code" in vars(error):
            yield error
        pending.extend(error.__subclasses__())
