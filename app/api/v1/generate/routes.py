"""POST /v1/generate and its multipart twin."""

from typing import Annotated

from fastapi import APIRouter, Body, Form, Response

from app.api.errors import problem
from app.api.errors.documented import GENERATION_ERRORS, JSON_IMAGE_ERRORS
from app.api.openapi.examples import GENERATE
from app.api.routing.context import Context
from app.api.routing.headers import CallHeaders
from app.api.v1.generate.schemas import GenerateForm, GenerateIn, GenerationOut
from app.api.v1.generate.streaming import STREAM_RESPONSE, respond
from app.domain import errors

router = APIRouter(prefix="/v1", tags=["generate"])


@router.post(
    "/generate",
    operation_id="generate",
    summary="Answer a prompt about an image",
    description="Sends a prompt, with or without a picture, to the model and returns its answer "
    "with token counts and the reason why it stopped.",
    response_description="The model's answer.",
    response_model=GenerationOut,
    responses=STREAM_RESPONSE | problem.responses(*JSON_IMAGE_ERRORS, *GENERATION_ERRORS),
)
async def generate(
    context: Context,
    headers: CallHeaders,
    body: Annotated[GenerateIn, Body(openapi_examples=GENERATE)],
) -> Response:
    return await respond(
        context, body.to_request(context.call_context(headers)), stream=body.stream
    )


@router.post(
    "/generate/upload",
    operation_id="generateUpload",
    summary="Answer a prompt about an uploaded image",
    description="The same as `/v1/generate`, with pictures as files of a multipart form.",
    response_description="The model's answer.",
    response_model=GenerationOut,
    responses=STREAM_RESPONSE | problem.responses(errors.MalformedBodyError, *GENERATION_ERRORS),
)
async def generate_upload(
    context: Context,
    headers: CallHeaders,
    form: Annotated[GenerateForm, Form(media_type="multipart/form-data")],
) -> Response:
    return await respond(
        context, form.to_request(context.call_context(headers)), stream=form.stream
    )
