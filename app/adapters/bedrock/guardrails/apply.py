"""ApplyGuardrail behind the Guardrail port: texts and pictures."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson
from pybase64 import b64encode

from app.adapters.bedrock.guardrails import pieces
from app.adapters.bedrock.guardrails.assessments import blocks, hits, units
from app.adapters.bedrock.guardrails.caller import GuardrailCaller, unreadable
from app.adapters.bedrock.guardrails.pieces import Piece
from app.adapters.bedrock.runtime import Pieces
from app.domain.guardrail import Assessment, Content, GuardrailPolicy
from app.domain.image import PreparedImage

CONCURRENT = 4
"""Calls at a time for one content."""


@dataclass(frozen=True, slots=True)
class AppliedGuardrail:
    """The guardrail that a policy names, by its identifier and version."""

    caller: GuardrailCaller

    async def assess(self, content: Content, policy: GuardrailPolicy) -> Assessment:
        """Return the verdict on all of ``content``, or raise GuardrailUnavailableError."""
        path = self.caller.path(
            f"/guardrail/{quote(policy.id, safe='-._~')}/version/{quote(policy.version)}/apply"
        )
        calls: list[list[Piece]] = list(pieces.calls(content.texts))
        if content.images:
            # Pictures go with the first texts; in practice either is alone.
            calls = calls or [[]]
        turn = asyncio.Semaphore(CONCURRENT)

        async def ask(number: int, parts: list[Piece]) -> Assessment:
            images = content.images if number == 0 else ()
            async with turn:
                return await self._ask(path, content.source, parts, images)

        asked = [asyncio.create_task(ask(n, parts)) for n, parts in enumerate(calls)]
        try:
            return _together(content, calls, await asyncio.gather(*asked))
        finally:
            for task in asked:
                task.cancel()

    async def _ask(
        self, path: str, source: str, parts: list[Piece], images: Sequence[PreparedImage]
    ) -> Assessment:
        def body() -> Pieces:
            blocks: list[dict[str, Any]] = [{"text": {"text": part.text}} for part in parts]
            blocks += [_picture(image) for image in images]
            return (orjson.dumps({"source": source, "content": blocks}),)

        size = sum(len(part.text) for part in parts) + sum(image.size * 2 for image in images)
        return _assessment(await self.caller.call(path, body, size), len(parts))


def _picture(image: PreparedImage) -> dict[str, Any]:
    encoded = b64encode(image.data).decode()
    return {"image": {"format": image.media_type.short_name, "source": {"bytes": encoded}}}


def _assessment(answer: dict[str, Any], count: int) -> Assessment:
    """Read an answer about ``count`` texts, or raise GuardrailUnavailableError."""
    action, assessments = answer.get("action"), answer.get("assessments")
    if action not in ("NONE", "GUARDRAIL_INTERVENED") or not isinstance(assessments, list):
        raise unreadable("its action is unknown, or it has no assessments")
    rules, used = hits(assessments), units(answer.get("usage"))
    if action == "NONE":
        return Assessment(units=used)
    shown = _outputs(answer.get("outputs"))
    if blocks(rules):
        return Assessment(rules, True, None, used, shown[0] if shown else "")
    if len(shown) != count:
        raise unreadable(f"it has {len(shown)} outputs for {count} texts")
    return Assessment(rules, False, tuple(shown), used)


def _outputs(outputs: object) -> list[str]:
    listed = outputs if isinstance(outputs, list) else []
    texts = [output.get("text") if isinstance(output, dict) else None for output in listed]
    if not all(isinstance(text, str) for text in texts):
        raise unreadable("an output is not a text")
    return [str(text) for text in texts]


def _together(content: Content, calls: list[list[Piece]], verdicts: list[Assessment]) -> Assessment:
    """Return the verdict on all calls together."""
    rules = tuple(dict.fromkeys(hit for verdict in verdicts for hit in verdict.hits))
    used: dict[str, int] = {}
    for verdict in verdicts:
        for policy, count in verdict.units.items():
            used[policy] = used.get(policy, 0) + count
    blocked = next((verdict for verdict in verdicts if verdict.blocked), None)
    if blocked is not None:
        return Assessment(rules, True, None, used, blocked.message)
    if all(verdict.texts is None for verdict in verdicts):
        return Assessment(rules, False, None, used)
    shown = [
        (part, text)
        for parts, verdict in zip(calls, verdicts, strict=True)
        for part, text in zip(parts, verdict.texts or [part.text for part in parts], strict=True)
    ]
    return Assessment(rules, False, pieces.joined(content.texts, shown), used)
