"""Groups of errors that several endpoints declare in the OpenAPI document."""

from app.domain import errors

# Only JSON bodies can refer to a picture that is stored elsewhere.
JSON_IMAGE_ERRORS = (
    errors.MalformedJsonError,
    errors.InvalidBase64Error,
    errors.ImageSourceDisabledError,
    errors.ImageUrlNotAllowedError,
    errors.ImageAddressForbiddenError,
    errors.ImageTooManyRedirectsError,
    errors.ImageS3NotAllowedError,
    errors.ImageSourceNotFoundError,
    errors.ImageSourceDeniedError,
    errors.ImageSourceUnavailableError,
    errors.ImageSourceTimeoutError,
)

JSON_BODY_ERRORS = (
    errors.MalformedJsonError,
    errors.UnsupportedContentTypeError,
    errors.BodyTooLargeError,
    errors.BodyTimeoutError,
    errors.InvalidParameterError,
    errors.UnknownFieldError,
)

# Errors of every request that waits for its turn.
ADMISSION_ERRORS = (
    errors.OverloadedError,
    errors.ShuttingDownError,
    errors.DeadlineExceededError,
)

IMAGE_ERRORS = (
    errors.NotAnImageError,
    errors.UnsupportedImageTypeError,
    errors.ImageTooLargeError,
    errors.ImageTooManyPixelsError,
    errors.ImageBombError,
    errors.ImageDamagedError,
    errors.ImageDecoderError,
    errors.ImageTimeoutError,
    errors.ImageDecoderBusyError,
    errors.ImageOverBudgetError,
    errors.ExtremeAspectRatioError,
)

RETRIEVAL_ERRORS = (
    errors.ScopeMissingError,
    errors.UnknownKnowledgeBaseError,
    errors.RetrievalRefusedError,
    errors.RetrievalThrottledError,
    errors.KnowledgeBaseNotFoundError,
    errors.RetrievalAccessDeniedError,
    errors.KnowledgeBaseDependencyError,
    errors.RetrievalUnreadableError,
    errors.KnowledgeBaseBusyError,
)

GENERATION_ERRORS = (
    errors.UnsupportedContentTypeError,
    errors.BodyTimeoutError,
    errors.BodyTooLargeError,
    errors.InvalidParameterError,
    errors.ContextLengthError,
    errors.UnknownFieldError,
    errors.PromptMissingError,
    errors.GuardrailPolicyError,
    errors.GuardrailBlockedError,
    errors.GuardrailUnavailableError,
    errors.IdempotencyConflictError,
    errors.TooManyImagesError,
    *IMAGE_ERRORS,
    errors.UpstreamValidationError,
    errors.ModelThrottledError,
    errors.UpstreamQuotaError,
    errors.InternalError,
    errors.UpstreamError,
    errors.ModelEndOfLifeError,
    errors.ModelLegacyError,
    errors.ModelNotFoundError,
    errors.OnDemandUnsupportedError,
    errors.UpstreamAccessDeniedError,
    errors.UpstreamCredentialsError,
    errors.ModelFailedError,
    errors.StreamTruncatedError,
    errors.UpstreamUnreachableError,
    errors.UpstreamDisconnectedError,
    errors.UpstreamAnswerError,
    errors.CircuitOpenError,
    errors.ModelLoadingError,
    errors.ModelOverloadedError,
    errors.UpstreamUnavailableError,
    *ADMISSION_ERRORS,
    errors.ModelTimeoutError,
    errors.UpstreamTimeoutError,
)
