"""Documents access in OpenAPI: credentials, scopes and their errors."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI

from app.api.errors import dialects, problem
from app.api.errors.problem import Shape
from app.api.pipeline.authorization import Rule, rule_for
from app.domain import errors

SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key, or a JSON Web Token from the configured issuer.",
    },
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "An API key.",
    },
}
REFUSALS = (
    errors.CredentialsMissingError,
    errors.CredentialsInvalidError,
    errors.CredentialsExpiredError,
    errors.ScopeMissingError,
    errors.RateLimitedError,
    errors.IdentityProviderError,
    errors.LimiterUnavailableError,
)


def install(app: FastAPI, rules: tuple[Rule, ...]) -> None:
    """Add the access requirements in ``rules`` to ``app``'s document."""
    generate: Callable[[], dict[str, Any]] = app.openapi

    def document() -> dict[str, Any]:
        first = app.openapi_schema is None
        described = generate()
        if first:
            _describe(described, rules)
        return described

    # This is FastAPI's documented way to extend the document.
    app.openapi = document  # type: ignore[method-assign]


def _describe(document: dict[str, Any], rules: tuple[Rule, ...]) -> None:
    document.setdefault("components", {})["securitySchemes"] = SCHEMES
    for path, operations in document["paths"].items():
        rule = rule_for(path, rules)
        if not rule.public:
            for operation in operations.values():
                _guard(operation, rule, dialects.shape(path))


def _guard(operation: dict[str, Any], rule: Rule, shape: Shape) -> None:
    operation["security"] = [{scheme: []} for scheme in SCHEMES]
    needs = f"Needs the scope `{rule.scope}`." if rule.scope else "Any known caller."
    operation["description"] = f"{operation.get('description', '')}\n\n{needs}".strip()
    for status, refusal in problem.documented(REFUSALS, shape).items():
        known = operation["responses"].setdefault(str(status), refusal)
        if known is not refusal:
            known["description"] += f"; {refusal['description']}"
            content = known["content"][shape.media_type]
            content.setdefault("examples", {}).update(
                refusal["content"][shape.media_type]["examples"]
            )
    operation["responses"] = dict(sorted(operation["responses"].items()))
