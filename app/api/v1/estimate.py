"""POST /v1/estimate."""

from typing import Annotated

from fastapi import APIRouter, Body, Response
from pydantic import Field

from app.api.errors import problem
from app.api.errors.documented import GENERATION_ERRORS, JSON_IMAGE_ERRORS
from app.api.openapi.examples import GENERATE
from app.api.responses.cost import CostOut, fields
from app.api.routing.context import Context
from app.api.routing.headers import DeadlineHeaders
from app.api.v1.generate.schemas import GenerateIn
from app.domain import errors
from app.domain.generation import CallContext
from app.domain.token import CountMethod
from app.services.deferred_model import DeferredModel
from app.services.generation.estimate import Estimate

router = APIRouter(prefix="/v1", tags=["generate"])


class EstimatedImage(DeferredModel):
    """One picture as it would be sent."""

    width: Annotated[int, Field(description="Pixels, prepared.")]
    height: Annotated[int, Field(description="Pixels, prepared.")]
    bytes: Annotated[int, Field(description="Bytes, prepared.")]
    tiles: Annotated[
        int,
        Field(
            description="560-pixel tiles of the vision encoder: compute that shows in no token "
            "count."
        ),
    ]


class CostRange(DeferredModel):
    """US dollars at the listed price."""

    least: Annotated[CostOut, Field(description="With an empty answer.")]
    most: Annotated[CostOut, Field(description="With answers of max_gen_len tokens.")]


class EstimateOut(DeferredModel):
    """Tokens, pictures and cost that the request would take."""

    calls: Annotated[
        int, Field(description="Of the model: one, or with `image_strategy` `each` one a picture.")
    ]
    prompt_tokens: Annotated[
        int,
        Field(description="Of the whole prompt, template and pictures included; of all calls."),
    ]
    method: Annotated[
        CountMethod,
        Field(description="`exact`: counted with Llama's vocabulary. `bound`: at most so many."),
    ]
    image_tokens: Annotated[
        int,
        Field(
            description="Of these, the pictures' as they would be sent: one each, whatever their "
            "size."
        ),
    ]
    max_gen_len: Annotated[
        int, Field(description="Tokens reserved for the answer; for all calls' answers.")
    ]
    context_window: Annotated[
        int, Field(description="Tokens for prompt and answer of one call together.")
    ]
    fits: Annotated[bool, Field(description="Whether each call fits the window.")]
    images: Annotated[
        list[EstimatedImage],
        Field(description="With `contact_sheet` the sheet in place of its pictures."),
    ]
    tiles: Annotated[int, Field(description="Of all pictures.")]
    cost_usd: Annotated[CostRange | None, Field(description="null where the price is unknown.")]

    @classmethod
    def from_domain(cls, estimate: Estimate) -> "EstimateOut":
        """Render ``estimate``."""
        return cls(
            calls=len(estimate.prompts),
            prompt_tokens=estimate.prompt_tokens,
            method=estimate.method,
            image_tokens=len(estimate.images),
            max_gen_len=estimate.reserved,
            context_window=estimate.context_window,
            fits=estimate.fits,
            images=[
                EstimatedImage(
                    width=image.width, height=image.height, bytes=len(image.data), tiles=tiles
                )
                for image, tiles in zip(estimate.images, estimate.tiles, strict=True)
            ],
            tiles=sum(estimate.tiles),
            cost_usd=_range(estimate),
        )


def _range(estimate: Estimate) -> CostRange | None:
    if estimate.cost is None:
        return None
    least, most = (CostOut.model_validate(fields(cost)) for cost in estimate.cost)
    return CostRange(least=least, most=most)


_OF_CALLS = (errors.UpstreamError, errors.IdempotencyConflictError)


@router.post(
    "/estimate",
    operation_id="estimate",
    summary="Estimate a request",
    description="Takes the body of `/v1/generate` and tells its tokens, tiles and cost without "
    "calling the model. A picture that would be refused is refused here too.",
    response_description="The estimate.",
    response_model=EstimateOut,
    responses=problem.responses(
        *JSON_IMAGE_ERRORS,
        *(error for error in GENERATION_ERRORS if not issubclass(error, _OF_CALLS)),
    ),
)
async def estimate(
    context: Context,
    headers: DeadlineHeaders,  # noqa: ARG001 - the deadline is the context's already
    body: Annotated[GenerateIn, Body(openapi_examples=GENERATE)],
) -> Response:
    request = body.to_request(CallContext(context.call, deadline=context.deadline))
    out = EstimateOut.from_domain(await context.services.estimates.estimate(request))
    return Response(out.model_dump_json(), media_type="application/json")
