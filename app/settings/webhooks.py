"""Webhooks, which notify callers' servers when batches and jobs have ended."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from app.settings.types import Names, Seconds, check_hosts

_LEAST_SECRET = 24


class WebhookSettings(BaseModel):
    """Webhooks, which notify callers' servers when batches and jobs have ended."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    webhook_hosts: Annotated[
        Names | None,
        Field(
            description="Hosts that webhooks may be sent to, separated by commas: `host`, "
            "`host:port`, or `*.domain` for subdomains. Unset: no webhooks. Private addresses are "
            "refused as for picture URLs."
        ),
    ] = None
    webhook_allow_http: Annotated[
        bool, Field(description="Whether webhook URLs may be `http` as well as `https`.")
    ] = False
    webhook_secret: Annotated[
        SecretStr | None,
        Field(
            description="Secret that the callers' signing keys are derived from, 24 characters "
            "or more, the same on all replicas. Required with `webhook_hosts`."
        ),
    ] = None
    webhook_timeout: Annotated[
        Seconds, Field(description="Maximum seconds of one delivery attempt.")
    ] = 15

    @model_validator(mode="after")
    def _check_webhooks(self) -> Self:
        check_hosts("webhook_hosts", self.webhook_hosts)
        if self.webhook_hosts is not None:
            secret = self.webhook_secret.get_secret_value() if self.webhook_secret else ""
            if len(secret) < _LEAST_SECRET:
                raise ValueError(
                    f"webhook_secret: has {len(secret)} characters; webhooks are signed with "
                    f"{_LEAST_SECRET} or more"
                )
        return self
