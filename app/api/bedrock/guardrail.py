"""Guardrails in the requests and answers of AWS's dialects. Pure."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from app.api.routing.headers import Headers
from app.domain.errors import InvalidParameterError
from app.domain.generation import Completion
from app.domain.guardrail import Action, GuardrailReport, GuardrailWish, Hit
from app.services.deferred_model import DeferredModel

_IDENTIFIER = b"x-amzn-bedrock-guardrailidentifier"
_VERSION = b"x-amzn-bedrock-guardrailversion"
_ENFORCED = {"input": "enforce", "output": "enforce"}
"""The modes in which Bedrock applies a guardrail that a call names."""
_UNITS = {
    "topicPolicyUnits": "topic",
    "contentPolicyUnits": "content",
    "wordPolicyUnits": "word",
    "sensitiveInformationPolicyUnits": "sensitive_information",
    "sensitiveInformationPolicyFreeUnits": "sensitive_information_free",
    "contextualGroundingPolicyUnits": "contextual_grounding",
    "contentPolicyImageUnits": "content_image",
}
NOT_SHOWN = "(not shown)"
"""Replaces the content that a rule matched."""


class GuardrailConfig(DeferredModel):
    """Converse's ``guardrailConfig``."""

    model_config = ConfigDict(extra="forbid", strict=True)

    guardrailIdentifier: Annotated[str, Field(max_length=2048)]  # noqa: N815 - AWS's name
    guardrailVersion: Annotated[  # noqa: N815 - AWS's name
        str, Field(pattern=r"^([1-9][0-9]{0,7}|DRAFT)$")
    ]
    trace: Literal["enabled", "disabled", "enabled_full"] = "disabled"
    streamProcessingMode: Literal["sync", "async"] = "sync"  # noqa: N815 - AWS's name

    def wish(self) -> GuardrailWish:
        """Return the request's wishes for the guardrail policy."""
        modes = dict(_ENFORCED)
        if self.streamProcessingMode == "async":
            modes["stream"] = "audit"
        return GuardrailWish(
            modes, self.guardrailIdentifier, self.guardrailVersion, "guardrailConfig"
        )


def wish(headers: Headers) -> GuardrailWish | None:
    """Return the guardrail wishes in InvokeModel's headers. Raises InvalidParameterError."""
    identifier, version = headers.get(_IDENTIFIER), headers.get(_VERSION)
    if identifier is None and version is None:
        return None
    if identifier is None or version is None:
        raise InvalidParameterError.at(
            (_VERSION if version is None else _IDENTIFIER).decode(),
            "the guardrail's identifier and version have to be given together",
        )
    named = identifier.decode("latin-1"), version.decode("latin-1")
    return GuardrailWish(_ENFORCED, *named, _IDENTIFIER.decode())


def intervened(completion: Completion) -> bool:
    """Tell whether a guardrail blocked the answer or masked parts of it."""
    report = completion.guardrail
    return report is not None and report.action in (Action.BLOCKED, Action.MASKED)


def text(completion: Completion) -> str:
    """Return the text to show; for a blocked answer this is the guardrail's message."""
    if not completion.blocked or completion.guardrail is None:
        return completion.text
    return completion.guardrail.message or "Blocked by a guardrail."


def trace(report: GuardrailReport) -> dict[str, Any]:
    """Return the member ``trace`` of Converse's answers."""
    assessment = {"invocationMetrics": _metrics(report), **dict(_policies(report.hits))}
    trace: dict[str, Any] = {}
    if {"input", "image"} & set(report.sources):
        trace["inputAssessment"] = {report.id or "guardrail": assessment}
    if "output" in report.sources or not trace:
        trace["outputAssessments"] = {report.id or "guardrail": [assessment]}
    return {"guardrail": {"actionReason": f"Guardrail {report.action.value}.", **trace}}


def _metrics(report: GuardrailReport) -> dict[str, Any]:
    usage = {name: report.units.get(policy, 0) for name, policy in _UNITS.items()}
    return {"guardrailProcessingLatency": report.latency_ms, "usage": usage}


def _policies(hits: tuple[Hit, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the assessment's members for the rules that matched."""
    kinds = dict.fromkeys(hit.policy for hit in hits)
    by_kind = {kind: [hit for hit in hits if hit.policy == kind] for kind in kinds}
    if filters := by_kind.get("content", []) + by_kind.get("prompt_attack", []):
        yield "contentPolicy", {"filters": [_filter(hit) for hit in filters]}
    if words := by_kind.get("word"):
        matches = [{"match": NOT_SHOWN, "action": "BLOCKED", "detected": True} for _ in words]
        yield "wordPolicy", {"customWords": matches, "managedWordLists": []}
    if topics := by_kind.get("topic"):
        named = [{"name": t.name, "type": "DENY", "action": "BLOCKED"} for t in topics]
        yield "topicPolicy", {"topics": named}
    entities, regexes = by_kind.get("pii", []), by_kind.get("regex", [])
    if entities or regexes:
        yield (
            "sensitiveInformationPolicy",
            {
                "piiEntities": [{"type": hit.name, **_match(hit)} for hit in entities],
                "regexes": [{"name": hit.name, **_match(hit)} for hit in regexes],
            },
        )


def _filter(hit: Hit) -> dict[str, Any]:
    kind = "PROMPT_ATTACK" if hit.policy == "prompt_attack" else hit.name
    return {"type": kind, "confidence": "HIGH", "action": "BLOCKED", "detected": True}


def _match(hit: Hit) -> dict[str, Any]:
    action = "ANONYMIZED" if hit.masks else "BLOCKED"
    return {"match": NOT_SHOWN, "action": action, "detected": True}
