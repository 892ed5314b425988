"""InvokeGuardrailChecks: scores without a guardrail, by words that a text holds.

A text may spell a score itself, so that a test can have any: ``VIOLENCE=0.42``.
"""

import re
from typing import Any

import orjson

from app.emulator.guardrails import personal
from app.emulator.guardrails.assessment import text_units
from app.emulator.wire.errors import invalid

_CONTENT = {
    "VIOLENCE": ("attack", "bomb", "kill", "murder", "stab", "violence", "weapon"),
    "HATE": ("hate", "inferior", "subhuman", "vermin"),
    "SEXUAL": ("nude", "porn", "sex", "sexual"),
    "MISCONDUCT": ("counterfeit", "launder", "phishing", "smuggle", "steal"),
    "INSULTS": ("idiot", "loser", "moron", "stupid"),
}
_ATTACKS = {
    "JAILBREAK": ("jailbreak", "do anything now", "without restrictions", "pretend you are"),
    "PROMPT_INJECTION": ("ignore previous instructions", "ignore all instructions", "disregard"),
    "PROMPT_LEAKAGE": ("system prompt", "your instructions", "reveal your prompt"),
}
_LISTED = {"contentFilter": _CONTENT, "promptAttack": _ATTACKS}
_ENTITIES = frozenset(
    [
        "ADDRESS",
        "AGE",
        "AWS_ACCESS_KEY",
        "AWS_SECRET_KEY",
        "CA_HEALTH_NUMBER",
        "CA_SOCIAL_INSURANCE_NUMBER",
        "CREDIT_DEBIT_CARD_CVV",
        "CREDIT_DEBIT_CARD_EXPIRY",
        "CREDIT_DEBIT_CARD_NUMBER",
        "DRIVER_ID",
        "EMAIL",
        "INTERNATIONAL_BANK_ACCOUNT_NUMBER",
        "IP_ADDRESS",
        "LICENSE_PLATE",
        "MAC_ADDRESS",
        "NAME",
        "PASSWORD",
        "PHONE",
        "PIN",
        "SWIFT_CODE",
        "UK_NATIONAL_HEALTH_SERVICE_NUMBER",
        "UK_NATIONAL_INSURANCE_NUMBER",
        "UK_UNIQUE_TAXPAYER_REFERENCE_NUMBER",
        "URL",
        "USERNAME",
        "US_BANK_ACCOUNT_NUMBER",
        "US_BANK_ROUTING_NUMBER",
        "US_INDIVIDUAL_TAX_IDENTIFICATION_NUMBER",
        "US_PASSPORT_NUMBER",
        "US_SOCIAL_SECURITY_NUMBER",
        "VEHICLE_IDENTIFICATION_NUMBER",
    ]
)
_MAX_ENTITIES = 100
_Texts = list[tuple[int, int, str]]


def answer(body: bytes) -> dict[str, Any]:
    """Return the body of the answer, or raise a 400."""
    fields = _fields(body)
    texts = _texts(fields["messages"])
    units = {"textUnits": text_units(sum(len(text) for _, _, text in texts))}
    results: dict[str, Any] = {}
    for check, wanted in fields["checks"].items():
        if check in _LISTED:
            names = _names(wanted, "categories", "category", frozenset(_LISTED[check]))
            results[check] = {"results": _severities(names, _LISTED[check], texts)}
        elif check == "sensitiveInformation":
            names = _names(wanted, "entities", "type", _ENTITIES)
            results[check] = _sensitive(frozenset(names), texts)
        else:
            raise invalid(f"Unknown check: {check}")
    return {"results": results, "usage": dict.fromkeys(results, units)}


def _fields(body: bytes) -> dict[str, Any]:
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise invalid("The request body is not valid JSON.") from None
    match fields:
        case {"messages": [_, *_], "checks": dict(checks), **more} if checks and not more:
            return dict(fields)
    raise invalid("messages and checks must each hold at least one member, and nothing else.")


def _texts(messages: list[Any]) -> _Texts:
    """Return each text with the numbers of its message and of its block."""
    texts = []
    for number, message in enumerate(messages):
        match message:
            case {"role": "user" | "assistant" | "system", "content": [_, *_] as blocks}:
                for index, block in enumerate(blocks):
                    texts.append((number, index, _text(block, f"messages.{number}.{index}")))
            case _:
                raise invalid(f"messages.{number} must have a role and content.")
    return texts


def _text(block: object, where: str) -> str:
    match block:
        case {"text": str(text), **more} if text and not more:
            return text
    raise invalid(f"{where} must hold text that is not empty.")


def _names(wanted: object, list_name: str, key: str, known: frozenset[str]) -> list[str]:
    entries = wanted.get(list_name) if isinstance(wanted, dict) else None
    if not isinstance(entries, list) or not entries:
        raise invalid(f"{list_name} must hold at least one member.")
    names = [entry.get(key) if isinstance(entry, dict) else None for entry in entries]
    if not set(names) <= known:
        raise invalid(f"{list_name}: {key} must satisfy enum value set: {sorted(known)}")
    return [str(name) for name in names]


def _severities(
    names: list[str], listed: dict[str, tuple[str, ...]], texts: _Texts
) -> list[dict[str, Any]]:
    whole = "\n".join(text for _, _, text in texts)
    return [
        {"category": name, "severityScore": _score(name, listed[name], whole)} for name in names
    ]


def _score(name: str, listed: tuple[str, ...], text: str) -> float:
    spelled = re.search(rf"\b{name}=(0(?:\.\d+)?|1(?:\.0+)?)\b", text)
    if spelled:
        return float(spelled[1])
    hits = sum(bool(re.search(rf"\b{word}\b", text, re.IGNORECASE)) for word in listed)
    return round(1 - 0.2**hits, 4)


def _sensitive(kinds: frozenset[str], texts: _Texts) -> dict[str, Any]:
    results = [
        {
            "type": kind,
            "confidenceScore": 0.95,
            "beginOffset": begin,
            "endOffset": end,
            "messageIndex": message,
            "contentIndex": index,
        }
        for message, index, text in texts
        for kind, begin, end in personal.places(text, kinds)
    ]
    return {"results": results[:_MAX_ENTITIES], "truncated": len(results) > _MAX_ENTITIES}
