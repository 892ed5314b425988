"""InvokeGuardrailChecks behind the Guardrail port: scores of texts, judged by thresholds of ours.

It detects only, takes texts only, and needs no guardrail in the account.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from app.adapters.bedrock.codecs.json import member, number
from app.adapters.bedrock.guardrails import pieces
from app.adapters.bedrock.guardrails.caller import GuardrailCaller, unreadable
from app.adapters.bedrock.guardrails.pieces import Piece
from app.adapters.bedrock.runtime import Pieces
from app.domain.guardrail import CONTENT_CHECKS, PROMPT_CHECKS, Assessment, Content, Hit, Source
from app.domain.guardrail import GuardrailPolicy as Policy

PATH = "/guardrail-checks/invoke"
_ROUNDS = 20
"""Maximum checks of a text that has more entities than one answer names."""
_NAMES = {
    "contentFilter": ("content", "content_filter"),
    "promptAttack": ("prompt_attack", "prompt_attack"),
    "sensitiveInformation": ("pii", "personal_information"),
}
"""Each check's kind of rule, and its units: none has the name of one of ApplyGuardrail's, whose
price is another."""


@dataclass(frozen=True, slots=True)
class GuardrailChecks:
    """Blocks content, and masks personal information, whose score reaches its threshold."""

    caller: GuardrailCaller
    thresholds: Mapping[str, float]
    """Thresholds from 0 to 1 by category or entity. One without a threshold is not checked."""

    async def assess(self, content: Content, policy: Policy) -> Assessment:
        """Return the verdict on all of ``content``, or raise GuardrailUnavailableError."""
        del policy
        checks = self._checks(content.source)
        rules: dict[Hit, None] = {}
        used: dict[str, int] = {}
        shown: list[tuple[Piece, str]] = []
        for parts in pieces.calls(content.texts) if checks else ():
            texts = await self._masked(content.source, parts, checks, rules, used)
            shown += zip(parts, texts, strict=True)
        hits = tuple(rules)
        if any(not hit.masks for hit in hits):
            return Assessment(hits, True, None, used)
        masked = pieces.joined(content.texts, shown) if hits else None
        return Assessment(hits, False, masked, used)

    def _checks(self, source: Source) -> dict[str, Any]:
        named = self.thresholds
        wanted = {
            "contentFilter": ("categories", "category", [n for n in named if n in CONTENT_CHECKS]),
            "promptAttack": ("categories", "category", [n for n in named if n in PROMPT_CHECKS]),
            "sensitiveInformation": (
                "entities",
                "type",
                [n for n in named if n not in (*CONTENT_CHECKS, *PROMPT_CHECKS)],
            ),
        }
        if source is Source.OUTPUT:
            # Answers are not checked for prompt attacks.
            del wanted["promptAttack"]
        return {
            check: {members: [{key: name} for name in names]}
            for check, (members, key, names) in wanted.items()
            if names
        }

    async def _masked(
        self,
        source: Source,
        parts: list[Piece],
        checks: dict[str, Any],
        rules: dict[Hit, None],
        used: dict[str, int],
    ) -> list[str]:
        """Return the parts' texts, masked; note what was ``rules`` and the units ``used``."""
        role = "user" if source is Source.INPUT else "assistant"
        texts = [part.text for part in parts]
        for _ in range(_ROUNDS):
            asked = [{"role": role, "content": [{"text": text}]} for text in texts]

            def body(messages: list[dict[str, Any]] = asked) -> Pieces:
                return (orjson.dumps({"messages": messages, "checks": checks}),)

            size = sum(map(len, texts))
            answer = await self.caller.call(self.caller.path(PATH), body, size)
            results = member(answer, "results")
            for check in checks:
                _, units = _NAMES[check]
                count = number(member(member(answer, "usage"), check).get("textUnits")) or 0
                used[units] = used.get(units, 0) + count
                if check != "sensitiveInformation":
                    rules |= dict.fromkeys(self._scored(check, checks, results))
            if "sensitiveInformation" not in checks:
                return texts
            texts, more = self._without_entities(texts, results, rules)
            if not more:
                return texts
        # Blocked, as there are too many entities to mask them all.
        rules[Hit("pii", "too_many")] = None
        return texts

    def _scored(
        self, check: str, checks: dict[str, Any], results: Mapping[str, Any]
    ) -> Iterator[Hit]:
        """Yield the checks that reach their threshold; raise if a score is missing."""
        scores = {}
        for result in _listed(member(results, check)):
            scores[result.get("category")] = result.get("severityScore")
        for wanted in checks[check]["categories"]:
            name = wanted["category"]
            score = scores.get(name)
            if isinstance(score, bool) or not isinstance(score, int | float):
                raise unreadable(f"it has no score for {name}")
            if score >= self.thresholds[name]:
                yield Hit(_NAMES[check][0], name)

    def _without_entities(
        self, texts: list[str], results: Mapping[str, Any], rules: dict[Hit, None]
    ) -> tuple[list[str], bool]:
        """Return the texts with their entities masked, and whether there may be more entities."""
        result = member(results, "sensitiveInformation")
        places = sorted(map(_place, _listed(result)), key=lambda place: place[1], reverse=True)
        masked, taken = list(texts), dict.fromkeys(range(len(texts)), len(max(texts, key=len)))
        for message, begin, end, name, score in places:
            if score < self.thresholds.get(name, 2):
                continue
            if message >= len(texts) or not 0 <= begin < end <= len(texts[message]):
                raise unreadable("an entity lies outside its text")
            rules[Hit("pii", name, masks=True)] = None
            # Where two overlap, the rest of the earlier one is masked.
            end = min(end, taken[message])
            text = masked[message]
            masked[message] = f"{text[:begin]}{{{name}}}{text[end:]}"
            taken[message] = begin
        more = result.get("truncated") is True
        if more and masked == texts:
            raise unreadable("it says that there are more entities, and returns none")
        return masked, more


def _listed(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    listed = result.get("results")
    if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
        raise unreadable("a check has no results")
    return listed


def _place(entity: dict[str, Any]) -> tuple[int, int, int, str, float]:
    names = ("messageIndex", "beginOffset", "endOffset")
    message, begin, end = (number(entity.get(name)) for name in names)
    score = entity.get("confidenceScore")
    if message is None or begin is None or end is None or not isinstance(score, int | float):
        raise unreadable("an entity has no position or no score")
    return message, begin, end, str(entity.get("type")), float(score)
