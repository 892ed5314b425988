"""Reads a model's answer into the requested form: correct values or none."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from app.domain.generation import StopReason
from app.services.answers.echo import is_schema, repeats, without_skeleton
from app.services.answers.form import Form
from app.services.answers.schemas.conform import folded, kinds_of, texts
from app.services.answers.text.notes import AnswerError, Notes, Reading
from app.services.answers.text.objects import LONGEST, Written, objects
from app.services.answers.text.refusal import refusal
from app.services.answers.text.repetition import Loop, loop
from app.services.answers.text.scan import Bare

AnswerT = TypeVar("AnswerT")

CHECKED = 16
"""Maximum number of an answer's last objects that are validated against the form."""
ENDS = (StopReason.LENGTH, StopReason.REPETITION)
"""Stop reasons of answers that are cut off."""


@dataclass(frozen=True, slots=True)
class _Choice:
    """An object that may be the answer."""

    value: dict[str, Any]
    written: Written
    keys: int
    """The number of expected keys that it has."""


@dataclass(frozen=True, slots=True)
class _Valid(Generic[AnswerT]):
    choice: _Choice
    answer: AnswerT
    notes: Notes


def read(text: str, form: Form[AnswerT], stop: StopReason = StopReason.STOP) -> Reading[AnswerT]:
    """Return the answer in ``text``, or raise AnswerError with the faults of the likeliest object.

    Of several objects the last complete one counts. The time is linear in the text's length.
    """
    if len(text) > LONGEST:
        raise AnswerError((f"the answer has more than {LONGEST:,} characters",))
    text = without_skeleton(text, form.schema)
    written, repeated = _written(text, stop)
    if not written and stop not in ENDS:
        written = _alone(text, form.schema)
    notes = Notes(cut=stop in ENDS or repeated is not None)
    if repeated is not None:
        notes.say("repetition", repeated.message)
    choices = list(_choices(text, written, form, cut=notes.cut))
    if not any(choice.keys for choice in choices) and (statement := _refusal(text, choices)):
        return Reading(None, tuple(notes.warnings.values()), statement)
    try:
        valid = _chosen(choices, form, notes)
    except AnswerError as error:
        if statement := refusal(text.partition("{")[0]):
            return Reading(None, tuple(notes.warnings.values()), statement)
        raise AnswerError(error.faults, error.fallback, looped=repeated is not None) from error
    if not _filled(valid.choice.value) and (statement := refusal(text.partition("{")[0])):
        return Reading(None, tuple(notes.warnings.values()), statement)
    return _finished(text, valid, form, stop)


def _written(text: str, stop: StopReason) -> tuple[list[Written], Loop | None]:
    """Return the objects in ``text``, without the repetitions of an endless loop, and the loop."""
    written = objects(text)
    if stop not in ENDS and (not written or written[-1].whole):
        return written, None
    repeated = loop(text)
    if repeated is None or (written and written[-1].whole and written[-1].end > repeated.kept):
        return written, None
    return objects(text[: repeated.kept]), repeated


def _alone(text: str, schema: dict[str, Any]) -> list[Written]:
    """Return an object made of ``text`` if it is just the value of the only, closed, property."""
    properties = schema.get("properties", {})
    name, part = next(iter(properties.items()), ("", {}))
    listed = part.get("enum") if isinstance(part, dict) and len(properties) == 1 else None
    words = {w.casefold() for w in listed or () if isinstance(w, str)}
    bare = text.strip()
    matches = [word for word in (bare, bare.strip("`*_\"'. ")) if word.casefold() in words]
    return [Written({name: matches[0]}, len(text))] if matches else []


def _refusal(text: str, choices: list[_Choice]) -> Any:  # noqa: ANN401 - Refusal | None
    for choice in choices:
        for words in texts(choice.value):
            if (refused := refusal(words)) is not None:
                return refused
    return refusal(text)


def _filled(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Return whether ``value`` contains anything but nulls and empty texts."""
    if isinstance(value, dict | list):
        return any(map(_filled, value.values() if isinstance(value, dict) else value))
    return value is not None and value != ""


def _choices(text: str, written: list[Written], form: Form[Any], *, cut: bool) -> Iterator[_Choice]:
    """Yield the objects that may be the answer, without thoughts and repeated forms.

    The last object of an unclosed thought may be the answer if nothing follows it.
    """
    schema = form.schema
    names = {folded(name): name for name in schema.get("properties", {})}
    final = [one for one in written if not one.draft]
    if not final and written and not cut and not text[written[-1].end :].strip("` \n"):
        final = written[-1:]
    choices = [
        _Choice(value, one, _keys(value, names))
        for one in final[-4 * CHECKED :]
        for value in _expanded(one.value, schema, names)
    ]
    yield from _gathered(choices, schema, names)


def _gathered(
    choices: list[_Choice], schema: dict[str, Any], names: dict[str, str]
) -> list[_Choice]:
    """Join choices that are pieces of one answer: entries of a list, or single keys."""
    entry = _entry(schema)
    entries = [c for c in choices if not c.keys and entry & {folded(key) for key in c.value}]
    if entry and entries and len(entries) == len(choices):
        name = next(iter(names.values()))
        return [_joined(choices, {name: [choice.value for choice in choices]}, 1)]
    own = [{folded(key) for key in choice.value} & set(names) for choice in choices]
    keys = set().union(*own)
    if len(choices) > 1 and all(own) and sum(map(len, own)) == len(keys):
        value = {key: member for choice in choices for key, member in choice.value.items()}
        return [_joined(choices, value, len(keys))]
    return choices


def _joined(choices: list[_Choice], value: dict[str, Any], keys: int) -> _Choice:
    pieces = list({id(choice.written): choice.written for choice in choices}.values())
    written = Written(
        value,
        pieces[-1].end,
        all(piece.whole for piece in pieces),
        tuple(place for piece in pieces for place in piece.left_out),
        tuple(doubt for piece in pieces for doubt in piece.doubts),
    )
    return _Choice(value, written, keys)


def _entry(schema: dict[str, Any]) -> set[str]:
    """Return the folded keys of an entry if the form is a single list."""
    name = _sole_list(schema)
    items = schema["properties"][name].get("items") if name else None
    return (
        {folded(key) for key in items.get("properties", ())} if isinstance(items, dict) else set()
    )


def _keys(value: dict[str, Any], names: dict[str, str]) -> int:
    return len({folded(key) for key in value} & set(names))


def _expanded(
    value: dict[str, Any] | list[Any], schema: dict[str, Any], names: dict[str, str]
) -> Iterator[dict[str, Any]]:
    if not names:
        yield from _objects_of(value)
    elif isinstance(value, dict):
        inner = _unwrapped(value, names, schema.get("properties", {}))
        if not is_schema(inner, names.values()) and not repeats(inner, schema):
            yield inner
    elif (name := _sole_list(schema)) is not None and not _holds(value, names):
        # A list of bare numbers is a footnote mark or a box in prose.
        if not value or not all(isinstance(item, Bare) for item in value):
            yield {name: value}
    else:
        for item in _objects_of(value):
            yield from _expanded(item, schema, names)


def _objects_of(value: dict[str, Any] | list[Any]) -> Iterator[dict[str, Any]]:
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict):
            yield item


def _holds(items: list[Any], names: dict[str, str]) -> bool:
    return any(isinstance(item, dict) and _keys(item, names) for item in items)


def _sole_list(schema: dict[str, Any]) -> str | None:
    """Return the only property of ``schema`` if it is a list, else None."""
    properties = schema.get("properties", {})
    if len(properties) != 1:
        return None
    ((name, part),) = properties.items()
    return name if part.get("type") == "array" else None


_ENVELOPES = frozenset(
    {"parameters", "arguments", "input", "data", "result", "response", "output", "answer", "json"}
)
"""Keys of a call or reply that wraps an answer; members beside them belong to the call."""


def _unwrapped(
    value: dict[str, Any], names: dict[str, str], parts: dict[str, Any], levels: int = 3
) -> dict[str, Any]:
    """Return ``value``, or an object inside it that has more of the expected keys."""
    best, keys, wrapper = value, _keys(value, names), ""
    if not names or levels == 0:
        return best
    if is_schema(value, names.values()):
        # The schema's own "type" is not a value, even if the form has a field of that name.
        keys = 0
    for key, member in value.items():
        lone = member[0] if isinstance(member, list) and len(member) == 1 else member
        part = parts.get(names.get(folded(key), ""))
        if isinstance(lone, dict) and (part is None or not {"object", "array"} & kinds_of(part)):
            inner = _unwrapped(lone, names, parts, levels - 1)
            if _keys(inner, names) > keys:
                best, keys, wrapper = inner, _keys(inner, names), folded(key)
    if wrapper in ("", *_ENVELOPES) or is_schema(value, names.values()):
        return best
    there = {folded(key) for key in best}
    beside = {key: value[key] for key in value if folded(key) in names.keys() - there}
    return {**beside, **best}


def _chosen(choices: list[_Choice], form: Form[AnswerT], notes: Notes) -> _Valid[AnswerT]:
    """Return the last valid choice of the most complete ones, or raise AnswerError."""
    valid: list[_Valid[AnswerT]] = []
    failed: list[tuple[_Choice, AnswerError]] = []
    for choice in choices[-CHECKED:]:
        try:
            valid.append(_checked(choice, form, notes))
        except AnswerError as error:
            failed.append((choice, error))
    if not valid:
        if not failed:
            raise AnswerError(("there is no JSON object in the answer",))
        raise max(reversed(failed), key=lambda one: one[0].keys)[1]
    best = max((v.choice.written.whole, v.choice.keys) for v in valid)
    equals = [v for v in valid if (v.choice.written.whole, v.choice.keys) == best]
    last = equals[-1]
    for choice, fault in reversed(failed):
        if _supersedes(choice, last.choice, form.schema, cut=notes.cut):
            raise AnswerError(fault.faults, fault.fallback or _earlier(last, form))
    if any(other.answer != last.answer for other in equals):
        last.notes.say(
            "several_answers",
            f"The model gave {len(equals)} answers that differ; the last one was used.",
        )
    return last


def _supersedes(failed: _Choice, chosen: _Choice, schema: dict[str, Any], *, cut: bool) -> bool:
    """Return whether the valid choice ``chosen`` must not be given because of one that failed.

    The failed one may be a correction, or ``chosen`` may be the rest of a failed one that seems to
    end too early, unless it has all of its keys again.
    """
    if failed.written.end > chosen.written.end:
        if failed.written.whole:
            return failed.keys >= chosen.keys
        return failed.keys > 0 and not cut
    names = set(map(folded, schema.get("properties", ()))) or set(map(folded, failed.value))
    restated = {folded(key) for key in chosen.value}
    return bool(failed.written.doubts) and any(
        folded(key) in names - restated for key in failed.value
    )


def _earlier(valid: _Valid[AnswerT], form: Form[AnswerT]) -> Reading[AnswerT]:
    valid.notes.say(
        "several_answers",
        "The model gave several answers; the last one can't be read, and an earlier one is given.",
    )
    return _reading(valid, form)


def _checked(choice: _Choice, form: Form[AnswerT], notes: Notes) -> _Valid[AnswerT]:
    """Validate ``choice``, or raise AnswerError with a fallback if a lenient reading exists."""
    own = Notes(notes.cut, warnings=dict(notes.warnings))
    written = choice.written
    if written.doubts:
        raise AnswerError(written.doubts)
    try:
        answer = form.check(choice.value, own)
    except AnswerError as error:
        raise AnswerError(error.faults, _fallback(choice, form, notes)) from error
    if written.left_out:
        _say_cut(own, written)
    if own.doubts:
        faults = tuple(own.doubts)
        for fault in faults:
            own.say("contradiction", fault)
        raise AnswerError(faults, _reading(_Valid(choice, answer, own), form))
    # Dots in a complete object replace values although nothing cut them off.
    if written.left_out and not notes.cut and (written.whole or not form.gaps):
        faults = tuple(f"{place}: is not finished" for place in written.left_out[:8])
        raise AnswerError(faults, _reading(_Valid(choice, answer, own), form))
    return _Valid(choice, answer, own)


def _fallback(choice: _Choice, form: Form[AnswerT], notes: Notes) -> Reading[AnswerT] | None:
    own = Notes(notes.cut, lenient=True, warnings=dict(notes.warnings))
    try:
        answer = form.check(choice.value, own)
    except AnswerError:
        return None
    for fault in own.doubts:
        own.say("contradiction", fault)
    if choice.written.left_out:
        _say_cut(own, choice.written)
    return _reading(_Valid(choice, answer, own), form)


def _say_cut(notes: Notes, written: Written) -> None:
    places = ", ".join(written.left_out[:8])
    notes.say(
        "answer_cut_off",
        f"The answer was cut off; the result has what was complete. Unfinished: {places}.",
    )


def _reading(valid: _Valid[AnswerT], form: Form[AnswerT]) -> Reading[AnswerT]:
    answer, statement = form.refusal(valid.answer)
    return Reading(answer, tuple(valid.notes.warnings.values()), statement)


def _finished(
    text: str, valid: _Valid[AnswerT], form: Form[AnswerT], stop: StopReason
) -> Reading[AnswerT]:
    """Return the chosen answer with warnings if it was cut off or repeats itself."""
    notes, written = valid.notes, valid.choice.written
    after = "{" in text[written.end :]
    if stop in ENDS and not written.left_out and (not written.whole or after):
        notes.say("answer_cut_off", "The answer was cut off; the result has what was complete.")
    if written.whole and (
        run := loop(text[: written.end].rstrip("\"'}] \n"), times=20, characters=400)
    ):
        notes.say("repetition", run.message)
    return _reading(valid, form)
