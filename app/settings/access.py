"""Callers, the pages they may call from, and their limits."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from app.domain import key, limit
from app.domain.access import scope
from app.settings.types import Names, Seconds, Text


class AccessSettings(BaseModel):
    """Callers, the pages they may call from, and their limits."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    auth: Annotated[
        Literal["required", "disabled"],
        Field(
            description="`required`: if neither keys nor an OIDC issuer are configured, the "
            "service listens only on a loopback address. `disabled`: it listens on any address "
            "and needs no credentials; for a trusted network, or behind a gateway that checks "
            "callers."
        ),
    ] = "required"
    keys_file: Annotated[
        Path | None,
        Field(description="JSON file of API keys; see docs/access.md. Reloaded when it changes."),
    ] = None
    keys_reload: Annotated[
        Seconds, Field(description="Seconds between checks for changes to the key file.")
    ] = 2
    keys: Annotated[
        SecretStr | None,
        Field(
            description="Content of such a file, for deployments that have no file. Not "
            "together with `keys_file`."
        ),
    ] = None
    oidc_issuer: Annotated[
        str | None,
        Field(
            pattern=r"^https?://",
            description="Issuer whose JSON Web Tokens are accepted, exactly as it stands in "
            "their `iss` claim.",
        ),
    ] = None
    oidc_audience: Annotated[
        Text | None,
        Field(description="Audience that tokens must name in `aud`. Required with an issuer."),
    ] = None
    oidc_jwks_url: Annotated[
        str | None,
        Field(
            pattern=r"^https?://[^\s/]\S*$",
            description="URL of the issuer's keys. Unset: taken from the issuer's OpenID "
            "configuration.",
        ),
    ] = None
    oidc_scope_claim: Annotated[
        Text, Field(description="Claim that holds scopes, as a list or separated by spaces.")
    ] = "scope"
    oidc_scope_names: Annotated[
        dict[str, str],
        Field(
            description='Scopes by values of the claim, as JSON: `{"llm-users": "generate '
            "tasks\"}`. By default the values are the scopes' own names."
        ),
    ] = {}
    oidc_filter_claims: Annotated[
        dict[str, str],
        Field(
            description="Claims that restrict which documents of knowledge bases a token's "
            'holder sees, as JSON: `{"tenant": "tenant_id"}` admits only documents whose '
            "attribute `tenant_id` equals the claim `tenant`, or one of its values if it is a "
            "list. A token without the claim is refused."
        ),
    ] = {}
    public_docs: Annotated[
        bool, Field(description="Serve `/docs` and `/openapi.json` without credentials.")
    ] = False
    public_readiness: Annotated[
        bool, Field(description="Answer `/readyz` without credentials. `/healthz` never needs any.")
    ] = True
    allowed_hosts: Annotated[
        Names,
        Field(
            description="Host names that the `Host` header may have, separated by commas, "
            "without ports: `llm.example.com`, `*.example.com`, `10.0.*`. Unset: any name; but "
            "a service on a loopback address that needs no credentials accepts only loopback "
            "addresses and `localhost`."
        ),
    ] = ()
    cors_origins: Annotated[
        str | None,
        Field(
            description="Origins, separated by commas, whose pages may call from a browser: "
            "`https://app.example.com`. Unset: none. `*` is not accepted."
        ),
    ] = None
    limits: Annotated[
        dict[str, str],
        Field(
            description="Quotas of each caller, as JSON; see docs/access.md. A key's own limits "
            "replace them.",
        ),
    ] = {}
    limits_failure: Annotated[
        Literal["open", "closed"],
        Field(
            description="Whether calls pass (`open`) or are refused (`closed`) while Redis is "
            "unavailable."
        ),
    ] = "open"

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
        return self

    @model_validator(mode="after")
    def _check_scopes(self) -> Self:
        for value, scopes in self.oidc_scope_names.items():
            for name in scopes.split():
                try:
                    scope(name)
                except ValueError as error:
                    raise ValueError(f"oidc_scope_names: {value!r}: {error}") from error
        return self

    @model_validator(mode="after")
    def _check_origins(self) -> Self:
        for origin in self.allowed_origins:
            if not re.fullmatch(r"https?://[^/*?#]+", origin):
                raise ValueError(f"cors_origins: {origin!r} is not an origin such as https://a.org")
        return self

    @model_validator(mode="after")
    def _check_hosts(self) -> Self:
        for name in self.allowed_hosts:
            if not name.strip(".*"):
                raise ValueError(
                    f"allowed_hosts: {name!r} is every name, which a web page's may be; name those "
                    "that callers use, or leave it unset behind keys"
                )
            if not re.fullmatch(r"[a-z0-9.*_-]+|\[[0-9a-f:.]+\]", name):
                raise ValueError(
                    f"allowed_hosts: {name!r} is not a name such as llm.example.com, in small "
                    "letters, without a scheme or port"
                )
        return self

    @property
    def authenticates(self) -> bool:
        """Whether requests need credentials."""
        ways = (self.keys_file, self.keys, self.oidc_issuer)
        return self.auth == "required" and any(way is not None for way in ways)

    @property
    def allowed_origins(self) -> tuple[str, ...]:
        """The origins that CORS allows."""
        return tuple(o for o in (self.cors_origins or "").replace(" ", "").split(",") if o)
