"""A verdict in the shape of AWS's assessments."""

from typing import Any

from app.emulator.guardrails.judgement import Finding, Source, Verdict

_UNIT = 1000


def assessment(verdict: Verdict, characters: int, images: int = 0) -> dict[str, Any]:
    """Return the assessment of the checked content."""
    made: dict[str, Any] = {
        "invocationMetrics": {
            "guardrailProcessingLatency": 0,
            "usage": usage(characters, images),
            "guardrailCoverage": coverage(characters, images),
        }
    }
    words, pictures = verdict.by_source(Source.WORD), verdict.by_source(Source.PICTURE)
    regexes, entities = verdict.by_source(Source.REGEX), verdict.by_source(Source.PII)
    if words:
        made["wordPolicy"] = {
            "customWords": [
                {"match": word.match, "action": "BLOCKED", "detected": True} for word in words
            ],
            "managedWordLists": [],
        }
    if regexes or entities:
        made["sensitiveInformationPolicy"] = {
            "piiEntities": [{"type": finding.name, **_sensitive(finding)} for finding in entities],
            "regexes": [
                {"name": f"pattern-{number}", "regex": finding.name, **_sensitive(finding)}
                for number, finding in enumerate(regexes, 1)
            ],
        }
    if pictures:
        made["contentPolicy"] = {"filters": [_filter(finding) for finding in pictures]}
    return made


def _sensitive(finding: Finding) -> dict[str, Any]:
    action = "BLOCKED" if finding.blocks else "ANONYMIZED"
    return {"match": finding.match, "action": action, "detected": True}


def _filter(finding: Finding) -> dict[str, Any]:
    return {
        "type": finding.name,
        "confidence": "HIGH",
        "filterStrength": "HIGH",
        "action": "BLOCKED",
        "detected": True,
    }


def usage(characters: int, images: int) -> dict[str, int]:
    """Return the units that were processed."""
    units = text_units(characters)
    return {
        "topicPolicyUnits": 0,
        "contentPolicyUnits": 0,
        "wordPolicyUnits": units,
        "sensitiveInformationPolicyUnits": units,
        "sensitiveInformationPolicyFreeUnits": 0,
        "contextualGroundingPolicyUnits": 0,
        "contentPolicyImageUnits": images,
    }


def text_units(characters: int) -> int:
    """Return the units of a text: one for each begun thousand of characters."""
    return -(-characters // _UNIT)


def coverage(characters: int, images: int) -> dict[str, Any]:
    """Return the coverage: everything is checked."""
    return {
        "textCharacters": {"guarded": characters, "total": characters},
        "images": {"guarded": images, "total": images},
    }
