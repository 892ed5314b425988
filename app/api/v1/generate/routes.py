"""POST /v1/generate and its multipart twin."""

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Form, Response

from app.api.errors import problem
from app.api.errors.documented import GENERATION_ERRORS, JSON_IMAGE_ERRORS
from app.api.openapi.examples import GENERATE
from app.api.routing.dependencies import AskingTerms
from app.api.routing.uploads import GenerateForm, UploadRoute, multipart_only
from app.api.v1.generate.schemas import GenerateIn, GenerationOut
from app.api.v1.generate.streaming import STREAM_RESPONSE, Answers
from app.domain import errors

router = APIRouter(prefix="/v1", tags=["generate"], route_class=UploadRoute)


@router.post(
    "/generate",
    operation_id="generate",
    summary="Answer a prompt about an image",
    description="Sends a prompt, with a picture or without, to the model and returns its answer "
    "with token counts and the reason it stopped.",
    response_description="The model's answer.",
    response_model=GenerationOut,
    responses=STREAM_RESPONSE | problem.responses(*JSON_IMAGE_ERRORS, *GENERATION_ERRORS),
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
    responses=STREAM_RESPONSE | problem.responses(errors.MalformedBodyError, *GENERATION_ERRORS),
)
async def generate_upload(
    answers: Answers,
    terms: AskingTerms,
    form: Annotated[GenerateForm, Form(media_type="multipart/form-data")],
) -> Response:
    return await answers.answer(await form.to_request(terms), stream=form.stream)
