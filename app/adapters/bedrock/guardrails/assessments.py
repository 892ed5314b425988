"""Guardrails' assessments as AWS writes them, read into the domain's words. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from app.adapters.bedrock.codecs.json import member, number
from app.domain.guardrail import Action, GuardrailReport, Hit

_UNITS = {
    "topicPolicyUnits": "topic",
    "contentPolicyUnits": "content",
    "wordPolicyUnits": "word",
    "sensitiveInformationPolicyUnits": "sensitive_information",
    "sensitiveInformationPolicyFreeUnits": "sensitive_information_free",
    "contextualGroundingPolicyUnits": "contextual_grounding",
    "contentPolicyImageUnits": "content_image",
    "automatedReasoningPolicyUnits": "automated_reasoning",
}
"""AWS's names of units to the policies'."""

# Policy, list of findings, our name for the findings, member that names the rule.
_LISTS = (
    ("topicPolicy", "topics", "topic", "name"),
    ("contentPolicy", "filters", "content", "type"),
    ("wordPolicy", "customWords", "word", ""),
    ("wordPolicy", "managedWordLists", "word", "type"),
    ("sensitiveInformationPolicy", "piiEntities", "pii", "type"),
    ("sensitiveInformationPolicy", "regexes", "regex", "name"),
    ("contextualGroundingPolicy", "filters", "grounding", "type"),
)
_ACTIONS = ("BLOCKED", "ANONYMIZED")


def hits(assessments: Iterable[object]) -> tuple[Hit, ...]:
    """Return the rules that took effect, each once."""
    return tuple(dict.fromkeys(hit for one in assessments for hit in _hits(one)))


def _hits(assessment: object) -> Iterator[Hit]:
    for policy, name, kind, key in _LISTS:
        listed = member(assessment, policy).get(name)
        for finding in listed if isinstance(listed, list) else ():
            if isinstance(finding, dict) and finding.get("action") in _ACTIONS:
                # A custom word has no name but itself, which is content.
                rule = str(finding.get(key) or "unnamed") if key else "custom"
                yield Hit(kind, rule[:100], masks=finding["action"] == "ANONYMIZED")


def units(usage: object) -> dict[str, int]:
    """Return the units of ``usage`` that are not 0, by policy."""
    amounts = usage if isinstance(usage, dict) else {}
    counts = {_UNITS[name]: number(amounts.get(name)) or 0 for name in _UNITS}
    return {policy: count for policy, count in counts.items() if count}


def blocks(rules: tuple[Hit, ...]) -> bool:
    """Whether an intervention for these hits blocked the content, rather than only masked it."""
    return not rules or not all(hit.masks for hit in rules)


def report(*, intervened: bool, trace: Mapping[str, Any]) -> GuardrailReport:
    """Return the report of a guardrail within a model call, read from its trace.

    ``trace`` is Converse's ``trace.guardrail``, or the one in InvokeModel's body, which has
    ``input`` for ``inputAssessment`` and ``outputs`` for ``outputAssessments``.
    """
    asked = _every(trace.get("inputAssessment") or trace.get("input"))
    answered = _every(trace.get("outputAssessments") or trace.get("outputs"))
    of_input, of_output = hits(asked), hits(answered)
    action = Action.NONE
    if intervened:
        action = Action.BLOCKED if blocks((*of_input, *of_output)) else Action.MASKED
    sides = (("input", of_input), ("output", of_output))
    counts: dict[str, int] = {}
    for assessment in (*asked, *answered):
        usage = member(assessment, "invocationMetrics").get("usage")
        for policy, count in units(usage).items():
            counts[policy] = counts.get(policy, 0) + count
    return GuardrailReport(
        action,
        (*of_input, *of_output),
        tuple(source for source, hit in sides if hit),
        counts,
    )


def _every(value: object) -> list[object]:
    """Return the assessments in a map by guardrail, whose values are one or a list of them."""
    if isinstance(value, list):
        return [one for each in value for one in _every(each)]
    maps = value.values() if isinstance(value, dict) else ()
    return [one for entry in maps for one in (entry if isinstance(entry, list) else [entry])]
