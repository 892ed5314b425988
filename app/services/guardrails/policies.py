"""Whose guardrail policy holds for a call."""

from dataclasses import dataclass

from app.domain.errors import UnsupportedParameterError
from app.domain.generation import CallContext
from app.domain.guardrail import GuardrailPolicy, stricter, with_modes


@dataclass(frozen=True, slots=True)
class GuardrailPolicies:
    """The service's own policy, which keys may replace and requests make stricter."""

    default: GuardrailPolicy | None = None
    """None where no guardrail is configured."""

    def policy(self, call_context: CallContext) -> GuardrailPolicy | None:
        """Return the policy for one call, None where nothing is to be checked.

        Raises GuardrailPolicyError for a wish that is laxer, and UnsupportedParameterError for
        one where no guardrail is configured.
        """
        wish = call_context.guardrail
        if self.default is None:
            if wish is not None:
                raise UnsupportedParameterError.at(
                    wish.place, "no guardrail is configured in this service"
                )
            return None
        own = call_context.call.caller.guardrail
        policy = with_modes(self.default, own) if own else self.default
        if wish is not None:
            policy = stricter(policy, wish)
        return policy if policy.active else None
