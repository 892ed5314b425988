"""POST /v1/estimate."""

from typing import Annotated

from fastapi import APIRouter, Body
from pydantic import BaseModel, Field

from app.api import problems
from app.api.declared import GENERATION_ERRORS
from app.api.deps import AskingTerms, Estimates
from app.api.examples import GENERATE
from app.api.v1.schemas import CostOut, GenerateIn
from app.domain import errors
from app.domain.token import CountMethod
from app.services.estimate import Estimate

router = APIRouter(prefix="/v1", tags=["generate"])


class EstimatedImage(BaseModel):
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


class CostRange(BaseModel):
    """US dollars at the listed price."""

    least: Annotated[CostOut, Field(description="With an empty answer.")]
    most: Annotated[CostOut, Field(description="With an answer of max_gen_len tokens.")]


class EstimateOut(BaseModel):
    """What the request would take."""

    prompt_tokens: Annotated[
        int, Field(description="Of the whole prompt, template and pictures included.")
    ]
    method: Annotated[
        CountMethod,
        Field(description="`exact`: counted with Llama's vocabulary. `bound`: at most so many."),
    ]
    image_tokens: Annotated[
        int, Field(description="Of these, the pictures': one each, whatever their size.")
    ]
    max_gen_len: Annotated[int, Field(description="Tokens reserved for the answer.")]
    context_window: Annotated[int, Field(description="Tokens for both together.")]
    fits: Annotated[bool, Field(description="Whether both fit the window.")]
    images: list[EstimatedImage]
    tiles: Annotated[int, Field(description="Of all pictures.")]
    cost_usd: Annotated[CostRange | None, Field(description="null where the price is unknown.")]

    @classmethod
    def of(cls, estimate: Estimate) -> "EstimateOut":
        """Render ``estimate``."""
        return cls(
            prompt_tokens=estimate.prompt_tokens,
            method=estimate.method,
            image_tokens=len(estimate.images),
            max_gen_len=estimate.max_gen_len,
            context_window=estimate.context_window,
            fits=estimate.fits,
            images=[
                EstimatedImage(
                    width=image.prepared.width,
                    height=image.prepared.height,
                    bytes=len(image.prepared.data),
                    tiles=image.canvas.tiles,
                )
                for image in estimate.images
            ],
            tiles=estimate.tiles,
            cost_usd=_range(estimate),
        )


def _range(estimate: Estimate) -> CostRange | None:
    if estimate.cost is None:
        return None
    least, most = (CostOut.model_validate(cost, from_attributes=True) for cost in estimate.cost)
    return CostRange(least=least, most=most)


@router.post(
    "/estimate",
    operation_id="estimate",
    summary="Tell what a request would take",
    description="Takes the body of `/v1/generate` and tells its tokens, tiles and cost without "
    "calling the model. A picture that would be refused is refused here too.",
    response_description="The estimate.",
    responses=problems.responses(
        errors.MalformedJsonError,
        errors.InvalidBase64Error,
        *(error for error in GENERATION_ERRORS if not issubclass(error, errors.UpstreamError)),
    ),
)
async def estimate(
    estimates: Estimates,
    terms: AskingTerms,
    body: Annotated[GenerateIn, Body(openapi_examples=GENERATE)],
) -> EstimateOut:
    return EstimateOut.of(await estimates.estimate(body.to_request(terms)))
