"""The scopes that paths require, and their enforcement.

They are a table rather than dependencies of routes, so that callers are refused before any of their
body is read, and a route without a rule is closed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from starlette.types import Scope as AsgiScope

from app.api.routing.context import RequestContext
from app.api.routing.headers import Headers
from app.domain.access import ANONYMOUS, Call, Caller, Resource, Scope
from app.domain.errors import CredentialsMissingError, ScopeMissingError


@dataclass(frozen=True, slots=True)
class Rule:
    """The access that a path and all paths below it require."""

    prefix: str
    scope: Scope | None = None
    """The scope; None admits any authenticated caller."""
    public: bool = False
    """Whether everyone is admitted, without credentials."""

    def covers(self, path: str) -> bool:
        """Tell whether ``path`` is the prefix or below it; the root covers only itself."""
        below = self.prefix != "/" and path.startswith(self.prefix + "/")
        return path == self.prefix or below


RULES = (
    Rule("/healthz", public=True),
    # Public keys, so that any holder of a receipt can verify it.
    Rule("/.well-known/jwks.json", public=True),
    Rule("/metrics", Scope.METRICS),
    Rule("/v1/generate", Scope.GENERATE),
    Rule("/v1/chat", Scope.GENERATE),
    Rule("/v1/responses", Scope.GENERATE),
    Rule("/v1/estimate", Scope.GENERATE),
    Rule("/v1/tasks", Scope.TASKS),
    Rule("/v1/images", Scope.IMAGES),
    Rule("/v1/files", Scope.FILES),
    Rule("/v1/uploads", Scope.FILES),
    Rule("/v1/batches", Scope.BATCHES),
    Rule("/v1/rag", Scope.RAG),
    Rule("/v1/models"),
    # A caller sees only its own jobs and webhooks.
    Rule("/v1/jobs"),
    Rule("/v1/webhooks"),
    # A caller without the admin scope sees only its own usage.
    Rule("/v1/usage"),
    Rule("/v1/residency", Scope.ADMIN),
    Rule("/v1/audit", Scope.ADMIN),
    Rule("/v1/callers", Scope.ADMIN),
    Rule("/v1/cache", Scope.ADMIN),
    Rule("/model", Scope.GENERATE),
)
AUDITED = (Scope.GENERATE, Scope.TASKS, Scope.IMAGES)
"""Scopes whose calls are refused while the audit log can't be written, if so configured."""
DOCS = ("/", "/docs", "/openapi.json")
READINESS = ("/readyz",)
EVENTS = "/events"
"""Path to which AWS Lambda's adapter posts events."""
LONGEST = 200
"""Maximum characters of a path whose rule is cached; 1,024 such paths take 200 KB."""
CLOSED = Rule("(no other)")
"""The rule of all other paths; unknown callers don't learn which paths exist."""


def rules(*, public_docs: bool, public_readiness: bool, events: bool = False) -> tuple[Rule, ...]:
    """Return all rules under these settings."""
    docs = tuple(Rule(path, public=public_docs) for path in DOCS)
    readiness = tuple(Rule(path, public=public_readiness) for path in READINESS)
    # The network decides who can send events: see app.settings.events.
    event_rules = (Rule(EVENTS, public=True),) if events else ()
    return (*RULES, *docs, *readiness, *event_rules)


def rule_for(path: str, among: Iterable[Rule]) -> Rule:
    """Return the narrowest rule that covers ``path``."""
    covering = (rule for rule in among if rule.covers(path))
    return max(covering, key=lambda rule: len(rule.prefix), default=CLOSED)


def credential(headers: Headers) -> str | None:
    """Return the key or token in ``Authorization: Bearer`` or ``X-API-Key``, or None."""
    kind, _, value = headers.get(b"authorization", b"").partition(b" ")
    if kind.lower() == b"bearer" and value.strip():
        return value.strip().decode("latin-1")
    key = headers.get(b"x-api-key")
    return None if key is None else key.decode("latin-1")


def _other_credentials(headers: Headers) -> CredentialsMissingError | None:
    """Return the error for credentials of another kind; None if there are none."""
    kind = headers.get(b"authorization", b"").partition(b" ")[0].lower()
    if kind.startswith(b"aws4-"):
        return CredentialsMissingError(
            "an AWS signature was sent, which this service does not accept: set "
            "AWS_BEARER_TOKEN_BEDROCK to one, or see docs/aws-sdk.md"
        )
    if kind and kind != b"bearer":
        return CredentialsMissingError(
            "the scheme of the Authorization header is not Bearer; send an API key or token as "
            "Bearer"
        )
    return None


def check_scope(caller: Caller, rule: Rule) -> None:
    """Raise ScopeMissingError if the caller lacks the rule's scope."""
    if rule.scope is not None and rule.scope not in caller.scopes:
        scopes = ", ".join(sorted(caller.scopes)) or "none"
        raise ScopeMissingError(f"this needs the scope {rule.scope}; {caller.id} has: {scopes}")


class Gatekeeper:
    """Enforces the rules of paths."""

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self._rules = rules
        self._known = lru_cache(maxsize=1024)(self._covering)

    def _covering(self, path: str) -> Rule:
        return rule_for(path, self._rules)

    def _rule(self, path: str) -> Rule:
        # A path may have 64 KB, and anyone can send any number of them.
        return self._known(path) if len(path) <= LONGEST else self._covering(path)

    async def admit(self, context: RequestContext, scope: AsgiScope) -> None:
        """Set the caller and the remaining quotas in ``context``, or raise a ServiceError."""
        rule = self._rule(scope["path"].removeprefix(scope.get("root_path", "")))
        if rule.public:
            return
        operations = context.services.operations
        try:
            caller = await operations.authenticator.authenticate(credential(context.headers))
        except CredentialsMissingError as error:
            raise _other_credentials(context.headers) or error from error
        context.record.caller = caller.id
        if caller is not ANONYMOUS:
            context.record.share = caller.id
        check_scope(caller, rule)
        audit = context.services.audit
        if audit is not None and rule.scope in AUDITED:
            audit.check()
        call = Call(caller, rule.scope)
        context.quota_statuses = await operations.limits.take(call, Resource.REQUESTS, 1)
        context.call = call
