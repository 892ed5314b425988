"""Determines the guardrail policy of a call."""

from dataclasses import dataclass
from enum import StrEnum

from app.domain.errors import GuardrailPolicyError, InvalidParameterError, UnsupportedParameterError
from app.domain.generation import CallContext
from app.domain.guardrail import GuardrailPolicy, GuardrailWish, parse, rank, with_modes


@dataclass(frozen=True, slots=True)
class GuardrailPolicies:
    """The service's own policy, which keys may replace and requests may make stricter."""

    default: GuardrailPolicy | None = None
    """None if no guardrail is configured."""

    def policy(self, call_context: CallContext) -> GuardrailPolicy | None:
        """Return the policy for one call; None if nothing is checked.

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


def stricter(policy: GuardrailPolicy, wish: GuardrailWish) -> GuardrailPolicy:
    """Return ``policy`` made as strict as ``wish`` says.

    Raises GuardrailPolicyError if the wish is laxer in any part or names another guardrail, and
    InvalidParameterError if it is invalid.
    """
    _check_named(policy, wish)
    try:
        wanted = parse(wish.modes)
    except ValueError as error:
        name, _, message = str(error).partition(": ")
        raise InvalidParameterError.at(f"{wish.place}.{name}", message) from error
    for name, choice in wanted.items():
        least: StrEnum = getattr(policy, name)
        if rank(choice) < rank(least):
            raise GuardrailPolicyError.at(
                f"{wish.place}.{name}",
                f"{choice.value!r} is laxer than this service's policy, {least.value!r}; a request "
                "may only ask for a stricter one",
            )
    return with_modes(policy, wish.modes)


def _check_named(policy: GuardrailPolicy, wish: GuardrailWish) -> None:
    """Raise GuardrailPolicyError if ``wish`` names another guardrail than the policy."""
    if wish.id is None:
        return
    own, named = (name.rpartition("/")[2] for name in (policy.id, wish.id))
    if not own or (own, policy.version) != (named, wish.version):
        raise GuardrailPolicyError.at(
            wish.place, "the operator of this service chooses the guardrail and its version"
        )
