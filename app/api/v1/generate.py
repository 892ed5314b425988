"""POST /v1/generate and its multipart twin."""

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Form, Response

from app.api import problems
from app.api.deps import AskingTerms
from app.api.examples import GENERATE
from app.api.uploads import GenerateForm, multipart_only
from app.api.v1.schemas import GenerateIn, GenerationOut
from app.api.v1.streaming import STREAM_RESPONSE, Answers
from app.domain import errors

router = APIRouter(prefix="/v1", tags=["generate"])

# Only JSON can name a picture that is elsewhere.
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

IMAGE_ERRORS = (
    errors.NotAnImageError,
    errors.UnsupportedImageTypeError,
    errors.ImageTooLargeError,
    errors.ImageTooManyPixelsError,
    errors.ImageBombError,
    errors.ImageDamagedError,
    errors.ImageDecoderError,
    errors.ImageTimeoutError,
    errors.ImageOverBudgetError,
    errors.ExtremeAspectRatioError,
)

GENERATION_ERRORS = (
    errors.UnsupportedContentTypeError,
    errors.BodyTimeoutError,
    errors.BodyTooLargeError,
    errors.InvalidParameterError,
    errors.UnknownFieldError,
    errors.PromptMissingError,
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
    errors.OverloadedError,
    errors.ShuttingDownError,
    errors.DeadlineExceededError,
    errors.ModelTimeoutError,
    errors.UpstreamTimeoutError,
)


@router.post(
    "/generate",
    operation_id="generate",
    summary="Answer a prompt about an image",
    description="Sends a prompt, with a picture or without, to the model and returns its answer "
    "with token counts and the reason it stopped.",
    response_description="The model's answer.",
    response_model=GenerationOut,
    responses=STREAM_RESPONSE | problems.responses(*JSON_IMAGE_ERRORS, *GENERATION_ERRORS),
)
async def generate(
    answers: Answers,
    terms: AskingTerms,
    body: Annotated[GenerateIn, Body(openapi_examples=GENERATE)],
) -> Response:
    return await answers.answer(body.to_request(terms), stream=body.stream)


@router.post(
    "/generate/upload",
    operation_id="generateUpload",
    summary="Answer a prompt about an uploaded image",
    description="The same as `/v1/generate`, with pictures as files of a multipart form.",
    response_description="The model's answer.",
    dependencies=[Depends(multipart_only)],
    response_model=GenerationOut,
    responses=STREAM_RESPONSE | problems.responses(errors.MalformedBodyError, *GENERATION_ERRORS),
)
async def generate_upload(
    answers: Answers,
    terms: AskingTerms,
    form: Annotated[GenerateForm, Form(media_type="multipart/form-data")],
) -> Response:
    return await answers.answer(await form.to_request(terms), stream=form.stream)
