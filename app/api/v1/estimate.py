"""POST /v1/estimate: the tokens and cost of a request."""

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
    """A picture as it would be sent to the model."""

    width: Annotated[int, Field(description="Pixels, as prepared.")]
    height: Annotated[int, Field(description="Pixels, as prepared.")]
    bytes: Annotated[int, Field(description="Bytes, as prepared.")]
    tiles: Annotated[
        int,
        Field(
            description="560-pixel tiles for the vision encoder: computation that no token "
            "count shows."
        ),
    ]


class CostRange(DeferredModel):
    """US dollars at the listed price."""

    least: Annotated[CostOut, Field(description="Cost with an empty answer.")]
    most: Annotated[CostOut, Field(description="Cost with answers of `max_gen_len` tokens.")]


class EstimateOut(DeferredModel):
    """Tokens, pictures and cost of a request."""

    calls: Annotated[
        int,
        Field(
            description="Calls of the model: one, or with `image_strategy` `each` one "
            "for each picture."
        ),
    ]
    prompt_tokens: Annotated[
        int,
        Field(
            description="Tokens of the prompts of all calls, including the template and pictures."
        ),
    ]
    method: Annotated[
        CountMethod,
        Field(
            description="`exact`: tokens are counted with Llama's vocabulary. `bound`: "
            "`prompt_tokens` is an upper bound."
        ),
    ]
    image_tokens: Annotated[
        int,
        Field(description="Prompt tokens of the pictures: one each, whatever their size."),
    ]
    max_gen_len: Annotated[int, Field(description="Tokens reserved for the answers of all calls.")]
    context_window: Annotated[
        int, Field(description="Maximum tokens of the prompt and the answer of one call together.")
    ]
    fits: Annotated[bool, Field(description="Whether each call fits into the context window.")]
    images: Annotated[
        list[EstimatedImage],
        Field(description="The pictures; with `contact_sheet` the sheet in their place."),
    ]
    tiles: Annotated[int, Field(description="Tiles of all pictures.")]
    cost_usd: Annotated[
        CostRange | None, Field(description="The cost; null if the price is unknown.")
    ]

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
    description="Takes the body of `/v1/generate` and returns its tokens, tiles and cost "
    "without calling the model. Pictures that `/v1/generate` would refuse are refused here too.",
    response_description="The estimate.",
    response_model=EstimateOut,
    responses=problem.responses(
        *JSON_IMAGE_ERRORS,
        *(error for error in GENERATION_ERRORS if not issubclass(error, _OF_CALLS)),
    ),
)
async def estimate(
    context: Context,
    headers: DeadlineHeaders,  # noqa: ARG001 - the deadline is already in the context
    body: Annotated[GenerateIn, Body(openapi_examples=GENERATE)],
) -> Response:
    request = body.to_request(CallContext(context.call, deadline=context.deadline))
    out = EstimateOut.from_domain(await context.services.estimates.estimate(request))
    return Response(out.model_dump_json(), media_type="application/json")
