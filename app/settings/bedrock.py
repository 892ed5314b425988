"""Which model is called, where, and how often at a time."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, model_validator

from app.domain.generation import Target
from app.domain.model import ALIASES, MODELS, Dialect, ModelIdentity, identify
from app.settings.types import Names, Seconds


class Fallback(BaseModel):
    """A further target."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    region: str | None = None
    model_id: str | None = None
    dialect: Dialect | None = None


class BedrockSettings(BaseModel):
    """Which model is called, where, and how often at a time."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    region: Annotated[
        str,
        Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$", description="AWS region that is called."),
    ] = "us-west-2"
    model_id: Annotated[
        str,
        Field(
            description="Foundation-model id, inference-profile id, or the ARN of an inference "
            "profile, an imported model or provisioned throughput."
        ),
    ] = "us.meta.llama3-2-11b-instruct-v1:0"
    base_model: Annotated[
        str | None,
        Field(
            description="Whose weights and limits `model_id` has, where the id does not tell "
            f"(an ARN, a successor): {', '.join(f'`{m.key}`' for m in MODELS)}. "
            "By default read off the id; an imported model is taken for the 11B."
        ),
    ] = None
    model_aliases: Annotated[
        Names,
        Field(
            description="Other names that requests of the OpenAI and AWS SDKs may use for the "
            "model, comma separated: `gpt-4o-mini,meta.llama3-2-11b-instruct-v1:0`."
        ),
    ] = ()
    dialect: Annotated[
        Dialect,
        Field(
            description="`invoke`: InvokeModel with the native Llama body. `converse`: Converse, "
            "for imported models and successors."
        ),
    ] = Dialect.INVOKE
    endpoint_url: Annotated[
        HttpUrl | None,
        Field(description="Called instead of AWS's own address: the emulator, or a VPC endpoint."),
    ] = None
    connect_timeout: Annotated[Seconds, Field(description="Seconds to connect to Bedrock.")] = 5
    read_timeout: Annotated[
        Seconds,
        Field(
            description="Seconds without a byte from Bedrock before a call is given up. Longer "
            "than the longest answer takes: a call given up is billed all the same."
        ),
    ] = 120
    fallbacks: Annotated[
        tuple[Fallback, ...],
        Field(
            description="Further targets, tried in order when the first is throttled, ended or "
            'failing. JSON: `[{"region": "us-east-1", "model_id": "…", "dialect": "converse"}]`. '
            "A fallback inherits whatever it leaves out from the first target."
        ),
    ] = ()
    max_concurrency: Annotated[
        int,
        Field(
            gt=0,
            description="Maximum concurrent calls per target; a stream counts until it ends.",
        ),
    ] = 1000
    max_waiting: Annotated[
        int,
        Field(
            ge=0,
            description="Maximum requests that wait for a target; callers are served in turn.",
        ),
    ] = 256
    max_wait: Annotated[
        Seconds, Field(description="Maximum seconds that a request waits for a target.")
    ] = 10
    breaker_threshold: Annotated[
        int, Field(gt=0, description="Consecutive failures that open a target's circuit breaker.")
    ] = 5
    breaker_reset: Annotated[
        Seconds,
        Field(
            description="Seconds until an open circuit breaker lets one call try the target again."
        ),
    ] = 15

    @model_validator(mode="after")
    def _check_model(self) -> Self:
        if self.base_model is not None and self.base_model not in [m.key for m in MODELS]:
            raise ValueError(f"base_model: accepted are {', '.join(m.key for m in MODELS)}")
        try:
            identity = self.identity
        except ValueError as error:
            raise ValueError(f"model_id: {error}") from error
        if identity.region not in (None, self.region):
            raise ValueError(f"region: is {self.region}, but model_id is in {identity.region}")
        self._check_fallbacks()
        return self

    def _check_fallbacks(self) -> None:
        for target in self.targets[1:]:
            try:
                region = identify(target.model_id, self.base_model).region
            except ValueError as error:
                raise ValueError(f"fallbacks: {error}") from error
            if region not in (None, target.region):
                raise ValueError(f"fallbacks: {target.model_id} is not in {target.region}")

    @property
    def identity(self) -> ModelIdentity:
        """The configured model."""
        return identify(self.model_id, self.base_model)

    @property
    def targets(self) -> tuple[Target, ...]:
        """The configured target and its fallbacks, in order."""
        first = Target(self.region, self.identity.id, self.dialect)
        return (first, *(self._target(fallback) for fallback in self.fallbacks))

    @property
    def max_in_progress(self) -> int:
        """Requests in progress, at most: those that the targets take, and those in line."""
        return (self.max_concurrency + self.max_waiting) * len(self.targets)

    def _target(self, fallback: Fallback) -> Target:
        configured = fallback.model_id or self.model_id
        return Target(
            fallback.region or self.region,
            ALIASES.get(configured, configured),
            fallback.dialect or self.dialect,
        )
