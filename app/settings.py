"""Every knob, its unit and its reason. The only reader of ``LLAMA_VISION_*``.

AWS credentials are no settings of ours: they come from the SDK's own chain (environment,
profile, container or instance role, or a Bedrock API key in AWS_BEARER_TOKEN_BEDROCK).
"""

import os
import re
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from dotenv import dotenv_values
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    HttpUrl,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableError

from app.domain import key, limit
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


_REDIS = re.compile(
    r"rediss?://([^/?#@]*@)?(\[[0-9a-fA-F:.]+\]|[^/?#@:\[\]]+):\d{1,5}(/\d*)?(\?[^#]*)?"
)


def _split(value: object) -> object:
    return [name.strip() for name in value.split(",")] if isinstance(value, str) else value


Name = Annotated[str, Field(min_length=1)]
Names = Annotated[tuple[Name, ...], NoDecode, BeforeValidator(_split)]


Dimension = Literal["Service", "Model", "Task", "Caller", "Route"]


class SettingsError(Exception):
    """A setting is wrong; the message has one line for each, with the variable's name."""


class Settings(BaseSettings):
    """One frozen set of settings; variables are the field names in capitals behind the prefix."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True, env_ignore_empty=True
    )

    host: Annotated[str, Field(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="Port to listen on.")] = 8000
    workers: Annotated[int, Field(gt=0, description="Processes that serve.")] = 1
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

    max_bytes_in_flight: Annotated[
        Bytes,
        Field(
            description="Bytes of request bodies and fetched pictures in memory at a time, all "
            "requests together. JSON takes nearly three times its body's bytes."
        ),
    ] = 96 * MIB
    max_pixels_in_flight: Annotated[
        int,
        Field(gt=0, description="Pixels of pictures being prepared at a time, all together."),
    ] = 200_000_000
    admission_timeout: Annotated[
        Seconds,
        Field(description="Seconds that a request waits for room for its bytes or pixels."),
    ] = 10
    body_timeout: Annotated[
        Seconds,
        Field(
            description="Seconds for a request's body to arrive, from when it is let in. A slow "
            "sender keeps others' room."
        ),
    ] = 60

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
    ] = 32 * MIB
    auth: Annotated[
        Literal["required", "disabled"],
        Field(
            description="`required`: where neither keys nor an OIDC issuer are configured, the "
            "service listens on loopback only. `disabled`: it listens anywhere and lets everyone "
            "in; for a trusted network, or behind a gateway that checks callers."
        ),
    ] = "required"
    keys_file: Annotated[
        Path | None,
        Field(description="JSON file of API keys; see docs/access.md. Read again as it changes."),
    ] = None
    keys_reload: Annotated[
        Seconds, Field(description="Seconds between two looks at whether the key file changed.")
    ] = 2
    keys: Annotated[
        SecretStr | None,
        Field(description="API keys as the text of such a file, where there is no file."),
    ] = None
    oidc_issuer: Annotated[
        str | None,
        Field(
            pattern=r"^https?://",
            description="Issuer whose JSON Web Tokens are taken, exactly as in their `iss`.",
        ),
    ] = None
    oidc_audience: Annotated[
        str | None, Field(description="What their `aud` must hold. Required with an issuer.")
    ] = None
    oidc_jwks_url: Annotated[
        str | None,
        Field(
            pattern=r"^https?://",
            description="Where the issuer's keys are; by default its OpenID configuration tells.",
        ),
    ] = None
    oidc_scope_claim: Annotated[
        str, Field(description="Claim that holds scopes, as a list or separated by spaces.")
    ] = "scope"
    oidc_scope_names: Annotated[
        dict[str, str],
        Field(
            description='The claim\'s values to scopes, as JSON: `{"llm-users": "generate '
            "tasks\"}`. By default the values are the scopes' own names."
        ),
    ] = {}
    public_docs: Annotated[
        bool, Field(description="Show `/docs` and `/openapi.json` to anyone.")
    ] = False
    public_readiness: Annotated[
        bool, Field(description="Answer `/readyz` to anyone. `/healthz` always is.")
    ] = True
    cors_origins: Annotated[
        str | None,
        Field(
            description="Origins, separated by commas, whose pages may call from a browser: "
            "`https://app.example.com`. None by default, and `*` is not taken."
        ),
    ] = None

    limits: Annotated[
        dict[str, str],
        Field(
            description="What each caller may use, as JSON; see docs/access.md. A key's own limits "
            "take their place.",
        ),
    ] = {}
    limits_store: Annotated[
        Literal["memory", "redis"],
        Field(description="`memory`: each worker counts alone. `redis`: all replicas together."),
    ] = "memory"
    limits_failure: Annotated[
        Literal["open", "closed"],
        Field(description="Whether calls pass or are refused while Redis is away."),
    ] = "open"
    prices_file: Annotated[
        Path | None,
        Field(description="JSON file in place of the service's own price table; docs/metrics.md."),
    ] = None
    usage_store: Annotated[
        Literal["sqlite", "redis", "postgres", "memory"],
        Field(
            description="Where `/v1/usage` is kept. `redis`, `postgres`: for several replicas "
            "together."
        ),
    ] = "sqlite"
    usage_file: Annotated[
        Path, Field(description="SQLite file for usage; the workers of one machine share it.")
    ] = Path("usage.sqlite3")
    redis_url: Annotated[
        SecretStr | None,
        Field(description="Redis, where a setting names it: `redis://:password@host:6379/0`."),
    ] = None
    postgres_url: Annotated[
        SecretStr | None,
        Field(
            description="PostgreSQL, where a setting names it: "
            "`postgresql://user:password@host:5432/db`. Needs the extra `postgres`."
        ),
    ] = None
    traces: Annotated[
        bool,
        Field(
            description="Send traces by OTLP over HTTP, as OpenTelemetry's own `OTEL_*` variables "
            "say. Needs the extra `otel`."
        ),
    ] = False
    otlp_metrics: Annotated[
        bool,
        Field(
            description="Send what `/metrics` shows by OTLP over HTTP too, as OpenTelemetry's own "
            "`OTEL_*` variables say. Needs the extra `otel`."
        ),
    ] = False
    emf_namespace: Annotated[
        str | None,
        Field(
            description="CloudWatch namespace: writes a line in embedded metric format for each "
            "request that calls the model."
        ),
    ] = None
    emf_dimensions: Annotated[
        tuple[Dimension, ...],
        NoDecode,
        BeforeValidator(_split),
        Field(
            min_length=1,
            description="What these metrics are told apart by, comma separated: "
            f"{', '.join(f'`{name}`' for name in get_args(Dimension))}.",
        ),
    ] = ("Service", "Model")

    @model_validator(mode="after")
    def _check_dimensions(self) -> Self:
        if len(set(self.emf_dimensions)) < len(self.emf_dimensions):
            raise ValueError("emf_dimensions: names one twice")
        return self

    @model_validator(mode="after")
    def _check_redis(self) -> Self:
        stores = {"usage_store": self.usage_store, "limits_store": self.limits_store}
        for name, store in stores.items():
            if store == "redis" and self.redis_url is None:
                raise ValueError(f"redis_url: is missing, but {name} is redis")
        # The libraries quote what they can't read, password and all.
        if self.redis_url and not _REDIS.fullmatch(self.redis_url.get_secret_value()):
            raise ValueError(
                "redis_url: is not redis://:password@host:port/db; in a password / is written "
                "%2F, @ %40, # %23 and ? %3F"
            )
        return self

    @model_validator(mode="after")
    def _check_postgres(self) -> Self:
        if self.usage_store != "postgres":
            return self
        if self.postgres_url is None:
            raise ValueError("postgres_url: is missing, but usage_store is postgres")
        if not re.match("postgres(ql)?://", self.postgres_url.get_secret_value()):
            raise ValueError("postgres_url: does not begin with postgresql://")
        if find_spec("asyncpg") is None:
            raise ValueError("usage_store: needs asyncpg, which is not installed")
        return self

    @model_validator(mode="after")
    def _check_exporter(self) -> Self:
        for name in ("traces", "otlp_metrics"):
            if getattr(self, name) and find_spec("opentelemetry.exporter") is None:
                raise ValueError(
                    f"{name}: needs opentelemetry-exporter-otlp-proto-http, which is not installed"
                )
        return self

    @model_validator(mode="after")
    def _check_limits(self) -> Self:
        try:
            limit.parse(self.limits)
        except ValueError as error:
            raise ValueError(f"limits: {error}") from error
        return self

    @model_validator(mode="after")
    def _check_access(self) -> Self:
        if self.keys_file is not None and self.keys is not None:
            raise ValueError("keys: is set beside keys_file; give one of them")
        if self.keys is not None:
            try:
                key.parse(self.keys.get_secret_value())
            except ValueError as error:
                raise ValueError(f"keys: {error}") from error
        if self.oidc_issuer is not None and self.oidc_audience is None:
            raise ValueError("oidc_audience: is missing, but oidc_issuer is set")
        if not (self.authenticates or self.auth == "disabled" or is_loopback(self.host)):
            raise ValueError(
                f"host: is {self.host}, but no API keys and no OIDC issuer are configured. "
                f"Set {PREFIX}KEYS_FILE (python -m app keys create makes a key), or say "
                f"{PREFIX}AUTH=disabled to let everyone in"
            )
        return self

    @model_validator(mode="after")
    def _check_origins(self) -> Self:
        for origin in self.allowed_origins:
            if not re.fullmatch(r"https?://[^/*?#]+", origin):
                raise ValueError(f"cors_origins: {origin!r} is not an origin such as https://a.org")
        return self

    @property
    def authenticates(self) -> bool:
        """Whether callers are told apart."""
        ways = (self.keys_file, self.keys, self.oidc_issuer)
        return self.auth == "required" and any(way is not None for way in ways)

    @property
    def allowed_origins(self) -> tuple[str, ...]:
        """Origins for CORS."""
        return tuple(o for o in (self.cors_origins or "").replace(" ", "").split(",") if o)

    image_url_hosts: Annotated[
        Names | None,
        Field(
            description="Hosts that pictures may be fetched from by URL, separated by commas: "
            "`host`, `host:port`, or `*.domain` for subdomains. Unset: no URLs."
        ),
    ] = None
    image_url_allow_http: Annotated[
        bool, Field(description="Whether URLs may be `http` beside `https`.")
    ] = False
    image_s3_buckets: Annotated[
        Names | None,
        Field(
            description="Buckets that pictures may be read from, separated by commas: `bucket`, "
            "or `bucket/prefix` for the keys that start so. Unset: no S3."
        ),
    ] = None
    image_s3_region: Annotated[
        str | None,
        Field(
            pattern=r"^[a-z]{2}(-[a-z]+)+-\d$",
            description="Region of those buckets. Unset: the region that is called.",
        ),
    ] = None
    image_s3_owner: Annotated[
        str | None,
        Field(
            pattern=r"^\d{12}$",
            description="AWS account that must own the buckets, 12 digits. Unset: anyone.",
        ),
    ] = None
    image_s3_endpoint_url: Annotated[
        HttpUrl | None,
        Field(description="Called instead of S3's own address: a VPC endpoint, or another store."),
    ] = None
    image_source_timeout: Annotated[
        Seconds,
        Field(description="Seconds to fetch one picture by URL or from S3, redirects included."),
    ] = 10

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
        self._check_room()
        return self

    def _check_room(self) -> None:
        for room, one in (
            ("max_bytes_in_flight", "max_body_bytes"),
            ("max_bytes_in_flight", "max_image_bytes"),
            ("max_pixels_in_flight", "max_image_pixels"),
        ):
            if getattr(self, room) < getattr(self, one):
                raise ValueError(f"{room}: is less than {one}, so that one request could not go")

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
    except UnreadableError as error:
        # Its message has the field's name, and no part of it has only that.
        name = str(error).partition('field "')[2].partition('"')[0]
        raise SettingsError(f"{PREFIX}{name.upper()}: is not JSON") from error


class _KeysFile(BaseSettings):
    model_config = Settings.model_config

    keys_file: Path | None = None


def keys_file() -> Path | None:
    """Return where `load` finds the API keys.

    Read alone: keys are made before the service can start, and whatever else is wrong.
    """
    return _KeysFile().keys_file


def is_loopback(host: str) -> bool:
    """Tell whether ``host`` is reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


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
    # Raised by a validator of the whole, whose messages start with the field's name.
    name, _, rest = message.removeprefix("Value error, ").partition(": ")
    return f"{PREFIX}{name.upper()}: {rest}"
