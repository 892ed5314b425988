"""The terms on which a request uses the answer cache. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.cache import CacheMode, CacheScope, Place
from app.domain.generation import CallContext, ModelRequest
from app.services.cache.answers import tag
from app.services.cache.key import answer_key
from app.services.guardrails.policies import GuardrailPolicies

SHARED = "shared"


@dataclass(frozen=True, slots=True)
class CacheTerms:
    """The service's own terms, as keys and requests change them."""

    mode: CacheMode
    scope: CacheScope
    sampled: bool
    """Whether sampled answers are cached without being asked for."""
    targets: str
    """Everything that may answer, dialects included."""
    model: str
    """The model's id, by which answers are purged."""
    guardrails: GuardrailPolicies

    def allow(self, request: ModelRequest) -> bool:
        """Whether the cache is used for ``request``."""
        context, own = request.call_context, request.call_context.call.caller.cache
        wish = context.cache
        mode = CacheMode(own) if own and self.mode is not CacheMode.OFF else self.mode
        if mode is CacheMode.OFF or not wish.kept:
            return False
        asked = wish.max_age is not None
        if mode is CacheMode.ASKED and not asked:
            return False
        return asked or self.sampled or request.sampling.temperature == 0

    def owner(self, context: CallContext) -> str:
        """Return the caller whose data key encrypts the answer."""
        # By address where callers are not distinguished.
        return SHARED if self.scope is CacheScope.SHARED else context.caller

    def place(self, request: ModelRequest, pixels: Sequence[str]) -> Place:
        """Return the store's place for the answer to ``request``; ``pixels`` as in `answer_key`."""
        context = request.call_context
        policy = self.guardrails.policy(context)
        key = answer_key(
            # No caller's id can be mistaken for everyone's.
            f"{self.scope} {self.owner(context)}",
            request,
            model=self.targets,
            pixels=pixels,
            policy="" if policy is None else policy.fingerprint,
        )
        return Place(key, tag(self.owner(context)), tag(self.model))
