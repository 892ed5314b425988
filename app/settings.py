"""Every knob, its unit and its reason. The only reader of the environment.

AWS credentials are no settings of ours: they come from the SDK's own chain (environment,
profile, container or instance role, or a Bedrock API key in AWS_BEARER_TOKEN_BEDROCK).
"""

import os
from typing import Annotated, Literal, Self

from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict, Field, HttpUrl, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.domain.generation import Target
from app.domain.model import ALIASES, MODELS, Dialect, ModelIdentity, identify

PREFIX = "LLAMA_VISION_"

MIB = 1024 * 1024

Bytes = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0)]


class Fallback(BaseModel):
    """A further target."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    region: str | None = None
    model_id: str | None = None
    dialect: Dialect | None = None


class SettingsError(Exception):
    """A setting is wrong; the message has one line for each, with the variable's name."""


class Settings(BaseSettings):
    """One frozen set of settings; variables are the field names in capitals behind the prefix."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True, env_ignore_empty=True
    )

    host: Annotated[str, Field(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="Port to listen on.")] = 8000
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Field(description="Least severe log lines to write."),
    ] = "info"

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
            "What a fallback leaves out it has from the first."
        ),
    ] = ()
    max_concurrency: Annotated[
        int,
        Field(gt=0, description="Calls to one target at a time. A stream is one throughout."),
    ] = 1000
    max_waiting: Annotated[
        int, Field(ge=0, description="Requests in line for a target; callers take turns.")
    ] = 256
    max_wait: Annotated[Seconds, Field(description="Seconds in line for a target, at most.")] = 10
    breaker_threshold: Annotated[
        int, Field(gt=0, description="Failures in a row after which a target is left alone.")
    ] = 5
    breaker_reset: Annotated[
        Seconds, Field(description="Seconds that a failing target is left alone.")
    ] = 15

    request_timeout: Annotated[
        Seconds,
        Field(
            description="Seconds from a request's arrival to its whole answer, waiting and all "
            "attempts included. A caller can ask for fewer with `X-Request-Timeout`."
        ),
    ] = 300
    shutdown_delay: Annotated[
        float,
        Field(
            ge=0,
            description="Seconds from SIGTERM, when readiness fails, to when no new connection is "
            "taken: the time a load balancer needs to notice.",
        ),
    ] = 0
    shutdown_grace: Annotated[
        Seconds,
        Field(
            description="Seconds that running requests are given to finish after that. Streams "
            "still open then get their terminal `error`."
        ),
    ] = 30
    heartbeat: Annotated[
        Seconds,
        Field(description="Seconds of silence in a stream before a comment keeps it open."),
    ] = 15

    max_body_bytes: Annotated[
        Bytes, Field(description="Bytes of a request body; base64 takes a third more than a file.")
    ] = 32 * MIB
    max_image_bytes: Annotated[Bytes, Field(description="Bytes of one picture as received.")] = (
        20 * MIB
    )
    max_image_pixels: Annotated[
        int, Field(gt=0, description="Pixels of one picture as received, read from its header.")
    ] = 100_000_000

    image_workers: Annotated[
        int, Field(gt=0, description="Processes that decode pictures, each up to 1 GiB.")
    ] = 2
    image_cache_bytes: Annotated[
        int,
        Field(
            ge=0,
            description="Bytes of prepared pictures kept, so that one asked about twice is "
            "prepared once. 0 keeps none.",
        ),
    ] = 64 * MIB

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


def load() -> Settings:
    """Read the environment and ``.env``, or raise SettingsError."""
    unknown = sorted(name for name in _named() if name.removeprefix(PREFIX) not in _known())
    if unknown:
        raise SettingsError("\n".join(f"{name}: there is no such setting" for name in unknown))
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError("\n".join(_line(dict(e)) for e in error.errors())) from error


def _named() -> set[str]:
    names = {*os.environ, *dotenv_values(".env")}
    return {name.upper() for name in names if name.upper().startswith(PREFIX)}


def _known() -> set[str]:
    return {name.upper() for name in Settings.model_fields}


def _line(error: dict[str, object]) -> str:
    location = error["loc"]
    message = str(error["msg"])
    if isinstance(location, tuple) and location:
        return f"{PREFIX}{str(location[0]).upper()}: {message}"
    # Raised by _check_model, whose messages start with the field's name.
    name, _, rest = message.removeprefix("Value error, ").partition(": ")
    return f"{PREFIX}{name.upper()}: {rest}"
