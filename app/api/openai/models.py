"""GET /v1/models and GET /v1/models/{model}."""

from datetime import date, datetime
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import Field

from app.api.errors import problem
from app.api.openai import errors as openai
from app.api.routing.context import Context
from app.domain import errors
from app.domain.generation import Target
from app.domain.lifecycle import Life, LifeStatus
from app.domain.model import Dialect, Language, ModelKind
from app.services.deferred_model import DeferredModel
from app.services.lifecycle.sentinel import LifecycleSentinel
from app.services.registry import ServedModel

router = APIRouter(prefix="/v1", tags=["models"])


class ModelLimits(DeferredModel):
    """The limits of one request."""

    context_window: Annotated[
        int, Field(description="Maximum tokens of input and output together.")
    ]
    max_gen_len: Annotated[int, Field(description="Maximum tokens to generate.")]
    max_images: Annotated[int, Field(description="Maximum images in one call of the model.")]
    max_image_side: Annotated[
        int,
        Field(description="Maximum pixels of the longer side of the picture sent to the model."),
    ]
    max_image_bytes: Annotated[
        int, Field(description="Maximum bytes of the picture sent to the model.")
    ]


class ModelCapabilities(DeferredModel):
    """Features that the model supports in the configured dialect."""

    structured_output: Annotated[
        bool, Field(description="Whether JSON is enforced, with or without a schema.")
    ]
    choice: Annotated[
        bool, Field(description="Whether a choice of one of several texts is enforced.")
    ]
    logprobs: Annotated[
        bool, Field(description="Whether log probabilities of the answer's tokens are available.")
    ]


class ModelLanguages(DeferredModel):
    """Officially supported languages, ISO 639-1."""

    text: list[Language]
    image: Annotated[list[Language], Field(description="Languages supported with an image.")]


class ModelLife(DeferredModel):
    """The lifecycle of one target's model, as AWS states it."""

    model_id: str
    region: str
    status: Annotated[LifeStatus, Field(description="Status today, by AWS's dates.")]
    legacy: Annotated[date | None, Field(description="The day from which the model is legacy.")]
    extended_access: Annotated[
        date | None, Field(description="The day from which extended access is charged.")
    ]
    end: Annotated[date | None, Field(description="The day from which Bedrock refuses calls.")]
    days_left: int | None
    source: Annotated[
        str,
        Field(description="The AWS operation that returned these dates, or why they are unknown."),
    ]
    checked: datetime

    @classmethod
    def from_domain(cls, target: Target, life: Life, today: date) -> "ModelLife":
        """Render ``life``."""
        return cls(
            model_id=target.model_id,
            region=target.region,
            status=life.stage(today),
            legacy=life.legacy,
            extended_access=life.extended_access,
            end=life.end,
            days_left=life.days_left(today),
            source=life.source,
            checked=life.checked,
        )


class ModelOut(DeferredModel):
    """A model that this service serves."""

    id: Annotated[str, Field(description="The id as sent to Bedrock.")]
    aliases: Annotated[
        list[str], Field(description="Other names that requests may use for the model.")
    ]
    object: Literal["model"] = "model"
    created: Annotated[int, Field(description="Release of the weights, Unix seconds.")]
    owned_by: Literal["meta"] = "meta"
    name: str
    kind: Annotated[ModelKind, Field(description="The kind of model that the id names.")]
    dialect: Annotated[Dialect, Field(description="The wire format of calls.")]
    dialect_reason: Annotated[str, Field(description="The reason for this dialect.")]
    region: Annotated[str, Field(description="The AWS region in which the model is called.")]
    regions: Annotated[
        list[str], Field(description="The regions in which Bedrock offers the base model.")
    ]
    languages: ModelLanguages
    limits: ModelLimits
    capabilities: ModelCapabilities
    lifecycle: Annotated[
        list[ModelLife],
        Field(description="The lifecycle of each target and successor, once AWS has returned it."),
    ]

    @classmethod
    def from_domain(cls, served: ServedModel, lifecycle: LifecycleSentinel) -> "ModelOut":
        """Render ``served``."""
        base = served.identity.base
        return cls(
            id=served.identity.id,
            aliases=list(served.names),
            created=base.released,
            name=base.name,
            kind=served.identity.kind,
            dialect=served.targets[0].dialect,
            dialect_reason=served.dialect_reason,
            region=served.targets[0].region,
            regions=list(base.regions),
            languages=ModelLanguages(
                text=list(base.text_languages), image=list(base.image_languages)
            ),
            limits=ModelLimits(
                context_window=served.capabilities.context_window,
                max_gen_len=base.max_gen_len,
                max_images=served.capabilities.max_images,
                max_image_side=base.max_image_side,
                max_image_bytes=base.max_image_bytes,
            ),
            capabilities=ModelCapabilities.model_validate(
                served.capabilities, from_attributes=True
            ),
            lifecycle=[
                ModelLife.from_domain(target, life, lifecycle.today())
                for target, life in lifecycle.lives.items()
            ],
        )


class ModelList(DeferredModel):
    """The served models."""

    object: Literal["list"] = "list"
    data: list[ModelOut]


@router.get(
    "/models",
    operation_id="listModels",
    summary="List the configured model",
    description="Shows the model's id, limits, languages, regions and wire dialect.",
    response_description="The served models.",
    responses=problem.documented((errors.InternalError,), openai.SHAPE),
)
async def models(context: Context) -> ModelList:
    return ModelList(
        data=[ModelOut.from_domain(context.services.model, context.services.lifecycle)]
    )


@router.get(
    "/models/{model:path}",
    operation_id="getModel",
    summary="Show the configured model",
    description="Shows the model by its id or one of its aliases.",
    response_description="The model.",
    responses=problem.documented((errors.InternalError, errors.UnknownModelError), openai.SHAPE),
)
async def model(context: Context, model: str) -> ModelOut:
    context.services.model.check_named(model)
    return ModelOut.from_domain(context.services.model, context.services.lifecycle)
