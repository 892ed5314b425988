"""Reads the body of ApplyGuardrail and writes its answer."""

from typing import Any

import orjson

from app.emulator.guardrails.assessment import assessment, coverage, usage
from app.emulator.guardrails.judgement import BLOCKED, Guardrail, Verdict, together
from app.emulator.wire.bodies import picture
from app.emulator.wire.bodies.conversation import Picture
from app.emulator.wire.errors import invalid

_FORMATS = ("png", "jpeg")
_MAX_BYTES, _MAX_SIDE, _MAX_PICTURES = 4 * 1024 * 1024, 8000, 20


def parse(body: bytes, *, decode: bool) -> tuple[list[str], list[Picture], int, bool]:
    """Return texts, pictures, the count of pictures, and whether the full output is wanted.

    Raises a 400 for an invalid body. With ``decode`` false no picture's header is read.
    """
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise invalid("The request body is not valid JSON.") from None
    if not isinstance(fields, dict) or fields.get("source") not in ("INPUT", "OUTPUT"):
        raise invalid("source must be one of INPUT, OUTPUT")
    blocks = fields.get("content")
    if not isinstance(blocks, list) or not blocks:
        raise invalid("content must hold at least one block")
    texts, files = _contents(blocks)
    if len(files) > _MAX_PICTURES:
        raise invalid(f"content holds more than {_MAX_PICTURES} images")
    pictures = [
        picture.checked(data, where, kind, most_bytes=_MAX_BYTES, most_side=_MAX_SIDE)
        for data, where, kind in (files if decode else ())
    ]
    return texts, pictures, len(files), fields.get("outputScope") == "FULL"


def _contents(blocks: list[Any]) -> tuple[list[str], list[tuple[bytes, str, str]]]:
    texts, files = [], []
    for index, block in enumerate(blocks):
        match block:
            case {"text": {"text": str(text)}}:
                texts.append(text)
            case {"image": {"format": str(kind), "source": {"bytes": str(encoded)}}}:
                where = f"content.{index}.image"
                if kind not in _FORMATS:
                    raise invalid(f"{where}.format: must satisfy enum value set: [png, jpeg]")
                data = picture.from_base64(encoded, where)
                if len(data) > _MAX_BYTES:
                    raise invalid(f"{where}: image exceeds 4 MB")
                files.append((data, where, kind))
            case _:
                raise invalid(f"content.{index} must hold a text, or an image of bytes")
    return texts, files


def answer(
    guardrail: Guardrail, texts: list[str], seen: list[Verdict], images: int, *, full: bool
) -> dict[str, Any]:
    """Return the body of the answer; ``seen`` are the verdicts on the pictures."""
    verdicts = [guardrail.judge(text) for text in texts]
    # Words may stand apart in two blocks, so the texts are judged as one, too.
    whole = together([guardrail.judge("\n".join(texts)), *seen])
    characters = sum(map(len, texts))
    shown = [BLOCKED] if whole.blocked else [verdict.text for verdict in verdicts]
    return {
        "usage": usage(characters, images),
        "action": "GUARDRAIL_INTERVENED" if whole.intervened else "NONE",
        "actionReason": _reason(whole),
        "outputs": [{"text": text} for text in shown] if whole.intervened or full else [],
        "assessments": [assessment(whole, characters, images)],
        "guardrailCoverage": coverage(characters, images),
    }


def _reason(verdict: Verdict) -> str:
    if verdict.blocked:
        return "Guardrail blocked."
    return "Guardrail masked." if verdict.intervened else "No action."
