"""The model, its region, and the concurrency of calls."""

from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from app.domain.generation import Target
from app.domain.model import (
    ALIASES,
    MODELS,
    Capabilities,
    Dialect,
    DialectChoice,
    ModelIdentity,
    capabilities,
    choose_dialect,
    common,
    identify,
)
from app.settings.types import MOST, Count, Endpoint, ModelNames, Region, Seconds, Text

_OPENAI = ("openai_url", "openai_model")


class DialectSetting(StrEnum):
    """A dialect, or `auto` for the one that follows from the model id."""

    AUTO = "auto"
    INVOKE = Dialect.INVOKE.value
    CONVERSE = Dialect.CONVERSE.value
    CHAT = Dialect.CHAT.value
    OPENAI = Dialect.OPENAI.value


class Fallback(BaseModel):
    """A fallback or successor; it inherits the fields that it leaves out from the first target."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    region: Region | None = None
    model_id: str | None = None
    dialect: DialectSetting | None = None


class BedrockSettings(BaseModel):
    """The model, its region, and the concurrency of calls."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    region: Annotated[
        Region,
        Field(description="AWS region in which the model is called."),
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
            description="Base model whose weights and limits `model_id` has, if the id does not "
            f"name it (an ARN, a successor): {', '.join(f'`{m.key}`' for m in MODELS)}. "
            "Unset: derived from the id; an imported model counts as the 11B."
        ),
    ] = None
    model_aliases: Annotated[
        ModelNames,
        Field(
            description="Other names that requests from OpenAI's and AWS's SDKs may use for the "
            "model, separated by commas: `gpt-4o-mini,meta.llama3-2-11b-instruct-v1:0`."
        ),
    ] = ()
    dialect: Annotated[
        DialectSetting,
        Field(
            description="`invoke`: InvokeModel with the native Llama body. `chat`: InvokeModel "
            "with OpenAI's chat completion body, for imported models. `converse`: Converse, "
            "for successors. `openai`: the server at `openai_url` instead of Bedrock. `auto`: "
            "chosen by `model_id`: `chat` for an imported model, `invoke` for Llama 3.2 "
            "itself, otherwise `converse`."
        ),
    ] = DialectSetting.AUTO
    openai_url: Annotated[
        Endpoint | None,
        Field(
            description="Base URL of an OpenAI-compatible server, such as "
            "`https://vllm.example/v1`. Required if a target's dialect is `openai`."
        ),
    ] = None
    openai_model: Annotated[
        Text | None,
        Field(description="Name of the model on that server; required with its URL."),
    ] = None
    openai_key: Annotated[
        SecretStr | None, Field(description="Key for that server, sent as a bearer token.")
    ] = None
    openai_key_file: Annotated[
        Path | None, Field(description="File that holds that key; read when the service starts.")
    ] = None
    endpoint_url: Annotated[
        Endpoint | None,
        Field(description="Address called instead of AWS's own: the emulator, or a VPC endpoint."),
    ] = None
    connect_timeout: Annotated[
        Seconds, Field(description="Maximum seconds to connect to Bedrock.")
    ] = 5
    read_timeout: Annotated[
        Seconds,
        Field(
            description="Seconds without a byte from Bedrock after which a call is given up. "
            "Should be longer than the longest answer takes: a call given up is billed all the "
            "same."
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
    successors: Annotated[
        tuple[Fallback, ...],
        Field(
            description="Models, in order, that answer once Bedrock has ended the configured "
            'one; every answer says so. JSON, as for fallbacks: `[{"model_id": '
            '"us.meta.llama4-scout-17b-instruct-v1:0"}]`; for a model that the service does '
            "not know, `base_model` has to be set. Unset: no other model ever answers."
        ),
    ] = ()
    structured_output: Annotated[
        bool,
        Field(
            description="Enforce the form of answers to tasks and to `response_format` while "
            "they are generated, if all targets support it (imported models, OpenAI-compatible "
            "servers). Off: the prompt asks for the form, as it does with all other models."
        ),
    ] = True
    keep_warm: Annotated[
        Seconds | None,
        Field(
            description="Seconds without a call, fewer than 300, after which a minimal call "
            "keeps an imported model from being scaled to zero. Every window is billed; the "
            "log states the cost of a day. Unset: no such calls.",
            lt=300,
        ),
    ] = None
    max_concurrency: Annotated[
        Count,
        Field(
            description="Maximum concurrent calls per target; a stream counts until it ends.",
        ),
    ] = 1000
    max_waiting: Annotated[
        int,
        Field(
            ge=0,
            le=MOST,
            description="Maximum requests that wait for a target; callers take turns.",
        ),
    ] = 256
    max_wait: Annotated[
        Seconds, Field(description="Maximum seconds that a request waits for a target.")
    ] = 10
    breaker_threshold: Annotated[
        Count, Field(description="Consecutive failures that open a target's circuit breaker.")
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
        self._check_openai()
        self._check_fallbacks()
        return self

    def _check_openai(self) -> None:
        named = [name for name in _OPENAI if getattr(self, name) is not None]
        if self.openai_key is not None and self.openai_key_file is not None:
            raise ValueError("openai_key: is set beside openai_key_file; give one of them")
        further = (*self.fallbacks, *self.successors)
        chosen = (self.dialect, *(target.dialect for target in further))
        key = self.openai_key.get_secret_value() if self.openai_key else ""
        if not (key.isascii() and key.isprintable()) or key != key.strip():
            raise ValueError(
                "openai_key: has spaces around it, or characters that no header can carry"
            )
        if DialectSetting.OPENAI in chosen and len(named) < len(_OPENAI):
            missing = next(name for name in _OPENAI if name not in named)
            raise ValueError(f"{missing}: is missing, but a target's dialect is openai")

    def _check_fallbacks(self) -> None:
        self._check_further("fallbacks", lambda: self.targets[1:])
        self._check_further("successors", lambda: self.successor_targets)

    def _check_further(self, name: str, further: Callable[[], tuple[Target, ...]]) -> None:
        try:
            targets = further()
            regions = [self._identity(target).region for target in targets]
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        for target, region in zip(targets, regions, strict=True):
            if target.dialect.is_bedrock and region not in (None, target.region):
                raise ValueError(f"{name}: {target.model_id} is not in {target.region}")

    @property
    def identity(self) -> ModelIdentity:
        """The configured model."""
        return identify(self.model_id, self.base_model)

    @property
    def targets(self) -> tuple[Target, ...]:
        """The configured target and its fallbacks, in order."""
        first = self._target(Fallback())
        return (first, *(self._target(fallback) for fallback in self.fallbacks))

    @property
    def successor_targets(self) -> tuple[Target, ...]:
        """The targets that answer after the model's end, in order."""
        return tuple(self._target(successor) for successor in self.successors)

    @property
    def every_target(self) -> tuple[Target, ...]:
        """The targets and the successors, each once."""
        return tuple(dict.fromkeys((*self.targets, *self.successor_targets)))

    @property
    def dialect_choice(self) -> DialectChoice:
        """The first target's dialect, and why it is that one."""
        if self.dialect is DialectSetting.AUTO:
            return choose_dialect(self.identity)
        return DialectChoice(Dialect(self.dialect.value), "the setting names it")

    def capabilities_of(self, target: Target) -> Capabilities:
        """Return the capabilities of ``target``'s model."""
        return capabilities(target.dialect, self._identity(target).base)

    @property
    def capabilities(self) -> Capabilities:
        """The capabilities that all targets share, as a request may go to any of them."""
        able = common(map(self.capabilities_of, self.every_target))
        if self.structured_output:
            return able
        return replace(able, structured_output=False, choice=False)

    def _identity(self, target: Target) -> ModelIdentity:
        """Return the model of a target; one on another server counts as the configured model."""
        if not target.dialect.is_bedrock:
            return self.identity
        return identify(target.model_id, self.base_model)

    @property
    def max_in_progress(self) -> int:
        """Maximum requests in progress: those that are running on a target or waiting for one."""
        return (self.max_concurrency + self.max_waiting) * len(self.targets)

    def _target(self, fallback: Fallback) -> Target:
        configured = fallback.model_id or self.model_id
        model_id = ALIASES.get(configured, configured)
        dialect = self._dialect(fallback, model_id)
        if dialect is Dialect.OPENAI and self.openai_url and self.openai_model:
            return Target(self.openai_url.host or "", self.openai_model, dialect)
        return Target(fallback.region or self.region, model_id, dialect)

    def _dialect(self, fallback: Fallback, model_id: str) -> Dialect:
        named = fallback.dialect or self.dialect
        # A fallback that names a region or a model of Bedrock's does not inherit the other server.
        elsewhere = fallback.dialect is None and (fallback.model_id or fallback.region)
        if named is DialectSetting.AUTO or (named is DialectSetting.OPENAI and elsewhere):
            return choose_dialect(identify(model_id, self.base_model)).dialect
        return Dialect(named.value)
