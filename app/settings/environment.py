"""All settings, read from ``LLAMA_VISION_*`` and ``.env``; no other module reads either.

AWS credentials are not settings of ours: they come from the SDK's own chain (environment,
profile, container or instance role, or a Bedrock API key in AWS_BEARER_TOKEN_BEDROCK).
"""

import os
from pathlib import Path
from typing import Self

from dotenv import dotenv_values
from pydantic import ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableError

from app.domain.guardrail import Kind
from app.settings.access import AccessSettings
from app.settings.audit import AuditSettings
from app.settings.batch_jobs import BatchJobSettings
from app.settings.bedrock import BedrockSettings
from app.settings.cache import CacheSettings
from app.settings.encryption import EncryptionSettings
from app.settings.events import EventSettings
from app.settings.evidence import EvidenceSettings
from app.settings.guardrails import GuardrailSettings
from app.settings.images import ImageSettings
from app.settings.jobs import JobSettings
from app.settings.lifecycle import LifecycleSettings
from app.settings.receipts import ReceiptSettings
from app.settings.residency import ResidencySettings
from app.settings.retrieval import RetrievalSettings
from app.settings.server import ServerSettings
from app.settings.stores import StoreSettings
from app.settings.telemetry import TelemetrySettings
from app.settings.tls import TlsSettings
from app.settings.transport import is_loopback
from app.settings.webhooks import WebhookSettings
from app.settings.work import WorkSettings

PREFIX = "LLAMA_VISION_"

_NOTHING_WITHOUT = {
    "audit_retention_days": "audit_store",
    "files_bucket": "files_store",
    "guardrail_id": "guardrail_kind",
    "oidc_audience": "oidc_issuer",
    "oidc_filter_claims": "oidc_issuer",
    "oidc_jwks_url": "oidc_issuer",
    "oidc_scope_names": "oidc_issuer",
}
"""Settings that have no effect without another one, with the name of that one."""


class Settings(
    ServerSettings,
    TlsSettings,
    BedrockSettings,
    ImageSettings,
    RetrievalSettings,
    EvidenceSettings,
    AccessSettings,
    GuardrailSettings,
    CacheSettings,
    StoreSettings,
    EncryptionSettings,
    ResidencySettings,
    ReceiptSettings,
    AuditSettings,
    LifecycleSettings,
    TelemetrySettings,
    JobSettings,
    BatchJobSettings,
    WebhookSettings,
    WorkSettings,
    EventSettings,
    BaseSettings,
):
    """All settings, frozen; a setting's variable is the prefix and its name in capitals.

    Each topic is a model of its own, so that code can depend on one topic alone. Only rules that
    span topics are here.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True, env_ignore_empty=True
    )

    @model_validator(mode="after")
    def _check_host(self) -> Self:
        if not (self.authenticates or self.auth == "disabled" or is_loopback(self.host)):
            raise ValueError(
                f"host: is {self.host}, but no API keys and no OIDC issuer are configured. "
                f"Set {PREFIX}KEYS_FILE (python -m app keys create makes a key), or say "
                f"{PREFIX}AUTH=disabled to let everyone in"
            )
        return self

    @model_validator(mode="after")
    def _check_promises(self) -> Self:
        for name, other in _NOTHING_WITHOUT.items():
            value = getattr(self, other)
            if getattr(self, name) and value in (None, "off", "directory"):
                raise ValueError(f"{name}: is set, but {other} is {value or 'missing'}")
        return self

    @model_validator(mode="after")
    def _check_timeouts(self) -> Self:
        is_set = "max_request_timeout" in self.model_fields_set
        if is_set and self.max_request_timeout < self.request_timeout:
            raise ValueError("max_request_timeout: is less than request_timeout")
        return self

    @model_validator(mode="after")
    def _check_cache(self) -> Self:
        if self.cache_store == "redis" and self.redis_url is None:
            raise ValueError("redis_url: is missing, but cache_store is redis")
        return self

    @model_validator(mode="after")
    def _check_guarded(self) -> Self:
        if self.guardrail_kind is Kind.MODEL:
            for target in self.targets:
                if not target.dialect.is_bedrock:
                    raise ValueError(
                        f"guardrail_kind: is model, but {target.model_id} is served by another "
                        "server than Amazon Bedrock, which runs no guardrail; apply works with "
                        "every target"
                    )
        return self

    @model_validator(mode="after")
    def _check_room(self) -> Self:
        for room, one in (
            ("max_bytes_in_flight", "max_body_bytes"),
            ("max_bytes_in_flight", "max_image_bytes"),
            ("max_pixels_in_flight", "max_image_pixels"),
        ):
            if getattr(self, room) < getattr(self, one):
                raise ValueError(f"{room}: is less than {one}, so that one request may never fit")
        return self

    @model_validator(mode="after")
    def _check_files(self) -> Self:
        if self.files_store == "s3" and self.files_bucket is None:
            raise ValueError("files_bucket: is missing, but files_store is s3")
        return self

    @model_validator(mode="after")
    def _check_events(self) -> Self:
        if self.s3_event_caller is None:
            return self
        if not is_loopback(self.host):
            raise ValueError(
                f"s3_event_caller: needs a loopback host, but host is {self.host}, where anyone "
                "could send events"
            )
        if self.s3_event_bucket is None:
            raise ValueError("s3_event_bucket: is missing, but s3_event_caller is set")
        return self

    @property
    def longest_request(self) -> float:
        """The longest time limit of a request in seconds, whether its own or the default."""
        return max(self.max_request_timeout, self.request_timeout)

    @property
    def scheme(self) -> str:
        """The scheme of the service's URLs: ``http`` or ``https``."""
        return "https" if self.tls_files else "http"

    @property
    def reached_by(self) -> tuple[str, ...]:
        """The accepted host names of requests; any if there are none.

        Without authentication on a loopback address, any other name is that of a web page whose
        domain resolves to this machine.
        """
        if self.allowed_hosts or self.authenticates or not is_loopback(self.host):
            return self.allowed_hosts
        host = f"[{self.host}]" if ":" in self.host else self.host
        return ("localhost", "127.0.0.1", "[::1]", host)


class SettingsError(Exception):
    """Settings are wrong; the message has a line for each, with the variable's name."""


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
        # The error has the field's name only as a part of its message.
        name = str(error).partition('field "')[2].partition('"')[0]
        raise SettingsError(f"{PREFIX}{name.upper()}: is not JSON") from error


def origins() -> dict[str, str]:
    """Return where each set variable comes from, by its name without the prefix."""
    in_file = {name.upper() for name, value in dotenv_values(".env").items() if value}
    in_environment = {name.upper() for name, value in os.environ.items() if value}
    return {
        name: "the environment" if PREFIX + name in in_environment else ".env"
        for name in _known()
        if PREFIX + name in in_environment | in_file
    }


class _KeysFile(BaseSettings):
    model_config = Settings.model_config

    keys_file: Path | None = None


def keys_file() -> Path | None:
    """Return the path of the API keys that `load` would use.

    It is read separately, as keys are made before the other settings are complete.
    """
    return _KeysFile().keys_file


def _named() -> set[str]:
    names = {*os.environ, *dotenv_values(".env")}
    return {name.upper() for name in names if name.upper().startswith(PREFIX)}


def _known() -> set[str]:
    return {name.upper() for name in Settings.model_fields}


def _line(error: dict[str, object]) -> str:
    location = error["loc"]
    message = str(error["msg"]).removeprefix("Value error, ")
    if isinstance(location, tuple) and location:
        if error["type"] == "extra_forbidden":
            message = "there is no such member"
        members = any(isinstance(part, str) for part in location[1:])
        within = ".".join(str(part) for part in location[1:] if members)
        return f"{PREFIX}{str(location[0]).upper()}: {within and f'{within}: '}{message}"
    # Raised by a validator of the whole model, whose messages start with the field's name.
    name, _, rest = message.partition(": ")
    return f"{PREFIX}{name.upper()}: {rest}"
