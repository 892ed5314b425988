"""A guardrail of two policies: words that block a text, and e-mail addresses that are masked."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from app.emulator.wire import picture
from app.emulator.wire.errors import NOT_FOUND, AwsError, invalid

BLOCKED = "Sorry, this text was blocked by the emulator's guardrail."
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_VERSION = re.compile(r"[1-9][0-9]{0,7}|DRAFT")
_UNIT = 1000
_FORMATS = ("png", "jpeg")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a guardrail makes of a text."""

    text: str
    """The text as it may be shown: itself, masked, or the refusal."""
    words: tuple[str, ...]
    emails: tuple[str, ...]

    @property
    def blocked(self) -> bool:
        """Whether nothing of the text may be shown."""
        return bool(self.words)

    @property
    def intervened(self) -> bool:
        """Whether anything was found."""
        return bool(self.words or self.emails)


@dataclass(frozen=True, slots=True)
class Guardrail:
    """One guardrail, by its identifier."""

    identifier: str
    words: tuple[str, ...]

    def judge(self, text: str) -> Verdict:
        """Return what it makes of ``text``."""
        words = tuple(word for word in self.words if _holds(text, word))
        emails = tuple(_EMAIL.findall(text))
        shown = BLOCKED if words else _EMAIL.sub("{EMAIL}", text)
        return Verdict(shown, words, emails)


def _holds(text: str, word: str) -> bool:
    return re.search(rf"\b{re.escape(word)}\b", text, re.IGNORECASE) is not None


def found(guardrails: Mapping[str, tuple[str, ...]], identifier: str, version: str) -> Guardrail:
    """Return the guardrail of an identifier or ARN, or raise what AWS answers."""
    if not _VERSION.fullmatch(version):
        raise invalid("The guardrail version is invalid: a number or DRAFT is expected.")
    name = identifier.rpartition("/")[2]
    if name not in guardrails:
        raise AwsError(NOT_FOUND, "The guardrail identifier or version provided does not exist.")
    return Guardrail(name, guardrails[name])


def assessment(verdict: Verdict, characters: int, images: int = 0) -> dict[str, Any]:
    """Return the assessment of one text."""
    made: dict[str, Any] = {
        "invocationMetrics": {
            "guardrailProcessingLatency": 0,
            "usage": _usage(characters, images),
            "guardrailCoverage": _coverage(characters, images),
        }
    }
    if verdict.words:
        made["wordPolicy"] = {
            "customWords": [
                {"match": word, "action": "BLOCKED", "detected": True} for word in verdict.words
            ],
            "managedWordLists": [],
        }
    if verdict.emails:
        made["sensitiveInformationPolicy"] = {
            "piiEntities": [
                {"match": email, "type": "EMAIL", "action": "ANONYMIZED", "detected": True}
                for email in verdict.emails
            ],
            "regexes": [],
        }
    return made


def _usage(characters: int, images: int) -> dict[str, int]:
    units = -(-characters // _UNIT)
    return {
        "topicPolicyUnits": 0,
        "contentPolicyUnits": 0,
        "wordPolicyUnits": units,
        "sensitiveInformationPolicyUnits": units,
        "sensitiveInformationPolicyFreeUnits": 0,
        "contextualGroundingPolicyUnits": 0,
        "contentPolicyImageUnits": images,
    }


def _coverage(characters: int, images: int) -> dict[str, Any]:
    return {
        "textCharacters": {"guarded": characters, "total": characters},
        "images": {"guarded": images, "total": images},
    }


def apply(guardrail: Guardrail, body: bytes) -> dict[str, Any]:
    """Return the answer of ApplyGuardrail, or raise the 400 that its body earns."""
    fields = _fields(body)
    texts, images = _contents(fields["content"])
    verdicts = [guardrail.judge(text) for text in texts]
    whole = guardrail.judge("\n".join(texts))
    characters = sum(map(len, texts))
    shown = [BLOCKED] if whole.blocked else [verdict.text for verdict in verdicts]
    full = fields.get("outputScope") == "FULL"
    return {
        "usage": _usage(characters, images),
        "action": "GUARDRAIL_INTERVENED" if whole.intervened else "NONE",
        "actionReason": _reason(whole),
        "outputs": [{"text": text} for text in shown] if whole.intervened or full else [],
        "assessments": [assessment(whole, characters, images)],
        "guardrailCoverage": _coverage(characters, images),
    }


def _reason(verdict: Verdict) -> str:
    if verdict.blocked:
        return "Guardrail blocked."
    return "Guardrail masked." if verdict.emails else "No action."


def _fields(body: bytes) -> dict[str, Any]:
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise invalid("The request body is not valid JSON.") from None
    if not isinstance(fields, dict) or fields.get("source") not in ("INPUT", "OUTPUT"):
        raise invalid("source must be one of INPUT, OUTPUT")
    if not isinstance(fields.get("content"), list) or not fields["content"]:
        raise invalid("content must hold at least one block")
    return fields


def _contents(blocks: list[Any]) -> tuple[list[str], int]:
    texts, images = [], 0
    for index, block in enumerate(blocks):
        if "text" in block:
            texts.append(str(block["text"].get("text", "")))
        elif "image" in block:
            _check_image(block["image"], f"content.{index}.image")
            images += 1
        else:
            raise invalid(f"content.{index} holds neither text nor image")
    return texts, images


def _check_image(image: dict[str, Any], where: str) -> None:
    if image.get("format") not in _FORMATS:
        raise invalid(f"{where}.format: Member must satisfy enum value set: [png, jpeg]")
    encoded = image.get("source", {}).get("bytes")
    if not isinstance(encoded, str):
        raise invalid(f"{where}.source must hold bytes")
    data = picture.from_base64(encoded, where)
    if len(data) > 4 * 1024 * 1024:
        raise invalid(f"{where}: image exceeds 4 MB")
