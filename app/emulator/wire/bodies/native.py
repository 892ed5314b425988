"""The body of InvokeModel for Llama 3.2 Vision: checked on the way in, written on the way out."""

from collections.abc import Iterator
from typing import Any

import orjson

from app.emulator.wire.bodies import picture, template
from app.emulator.wire.bodies.conversation import (
    DEFAULT_GENERATION,
    Answer,
    Ask,
    NamedGuardrail,
    Picture,
    Sampling,
)
from app.emulator.wire.errors import invalid, malformed, refused_by_model

MANY_IMAGES = "Validation Error"
"""The model's words for more than one picture."""
_KEYS = ("prompt", "images", "temperature", "top_p", "max_gen_len")
_CONFIG = "amazon-bedrock-guardrailConfig"
_TYPES = {
    str: "String",
    bool: "Boolean",
    int: "Integer",
    float: "Number",
    list: "JSONArray",
    dict: "JSONObject",
    type(None): "Null",
}


def parse(body: bytes, guarded: NamedGuardrail | None, *, decode: bool) -> Ask:
    """Return the question in an InvokeModel body, or raise a 400.

    With ``decode`` false pictures are counted and their bytes left alone.
    """
    fields = loaded(body)
    check(fields, _KEYS, guarded)
    prompt = fields["prompt"]
    images = fields.get("images") or []
    _check_markers(prompt, len(images))
    return Ask(
        prompt=prompt,
        turns=template.turns(prompt),
        sampling=sampling(fields),
        pictures=tuple(_pictures(images)) if decode else (),
        picture_count=len(images),
        guarded=guarded,
    )


def loaded(body: bytes) -> dict[str, Any]:
    """Return a body's JSON object, or raise a 400."""
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise malformed() from None
    if not isinstance(fields, dict):
        raise malformed(f"#: expected type: JSONObject, found: {_TYPES[type(fields)]}")
    return fields


def check(fields: dict[str, Any], keys: tuple[str, ...], guarded: NamedGuardrail | None) -> None:
    """Raise a 400 for a body that breaks the model's JSON schema, whose members are ``keys``."""
    violations = list(_violations(fields, keys))
    if len(violations) > 1:
        raise malformed(f"{len(violations)} schema violations found")
    if violations:
        raise malformed(violations[0])
    if not fields["prompt"].strip():
        raise malformed("#/prompt: expected minLength: 1, actualLength: 0")
    if _CONFIG in fields and guarded is None:
        raise invalid(f"{_CONFIG} needs the guardrail identifier and version headers.")


def sampling(fields: dict[str, Any]) -> Sampling:
    """Return how the answer is drawn, or raise a 400 for a value out of its range."""
    return Sampling(
        temperature=_number(fields, "temperature", 0.5),
        top_p=_number(fields, "top_p", 0.9),
        max_gen_len=_length(fields),
    )


def _violations(fields: dict[str, Any], keys: tuple[str, ...]) -> Iterator[str]:
    if "prompt" not in fields:
        yield "#: required key [prompt] not found"
    for key in fields:
        if key not in keys and key != _CONFIG:
            yield f"#: extraneous key [{key}] is not permitted"
    if not isinstance(fields.get("prompt", ""), str):
        yield _expected("prompt", "String", fields["prompt"])
    images = fields.get("images")
    if images is not None and not isinstance(images, list):
        yield _expected("images", "JSONArray", images)
    elif images:
        for index, image in enumerate(images):
            if not isinstance(image, str):
                yield _expected(f"images/{index}", "String", image)


def _expected(where: str, wanted: str, value: object) -> str:
    return f"#/{where}: expected type: {wanted}, found: {_TYPES[type(value)]}"


def _number(fields: dict[str, Any], key: str, default: float) -> float:
    value = fields.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise malformed(_expected(key, "Number", value))
    _within(key, value, 0, 1)
    return float(value)


def _length(fields: dict[str, Any]) -> int:
    value = fields.get("max_gen_len")
    if value is None:
        return DEFAULT_GENERATION
    if isinstance(value, bool) or not isinstance(value, int):
        raise malformed(_expected("max_gen_len", "Integer", value))
    _within("max_gen_len", value, 1, 2048)
    return value


def _within(key: str, value: float, low: int, high: int) -> None:
    if value < low:
        raise malformed(f"#/{key}: {value} is not greater or equal to {low}")
    if value > high:
        raise malformed(f"#/{key}: {value} is not less or equal to {high}")


def _check_markers(prompt: str, images: int) -> None:
    if images > 1:
        raise refused_by_model(MANY_IMAGES)
    markers = prompt.count(template.IMAGE)
    if markers != images:
        raise refused_by_model(f"the prompt holds {markers} {template.IMAGE} for {images} image(s)")
    if template.misplaced_image(prompt):
        raise refused_by_model("images only in user turns")


def _pictures(images: list[str]) -> Iterator[Picture]:
    for index, encoded in enumerate(images):
        where = f"images.{index}"
        yield picture.checked(picture.from_base64(encoded, where), where)


def rendered(answer: Answer) -> dict[str, Any]:
    """Return the body of an InvokeModel response."""
    return {
        "generation": answer.text,
        "prompt_token_count": answer.prompt_tokens,
        "generation_token_count": len(answer.pieces),
        "stop_reason": stop_reason(answer),
        **guarded(answer),
    }


def stop_reason(answer: Answer) -> str:
    """Return Llama's word for why a generation ended."""
    return "length" if answer.stop == "length" else "stop"


def guarded(answer: Answer) -> dict[str, Any]:
    """Return the members that a guardrail adds, none without one."""
    if answer.guard is None:
        return {}
    action = "INTERVENED" if answer.guard.intervened else "NONE"
    trace = answer.guard.trace
    return {
        "amazon-bedrock-guardrailAction": action,
        **({"amazon-bedrock-trace": {"guardrail": trace}} if trace else {}),
    }


def chunk(answer: Answer, index: int) -> dict[str, Any]:
    """Return the body of one chunk: its text, counts so far, and a stop reason on the last."""
    last = index >= len(answer.pieces) - 1
    return {
        "generation": answer.pieces[index] if answer.pieces else "",
        "prompt_token_count": answer.prompt_tokens if index == 0 else None,
        "generation_token_count": min(index + 1, len(answer.pieces)),
        "stop_reason": stop_reason(answer) if last else None,
        **(guarded(answer) if last else {}),
    }
