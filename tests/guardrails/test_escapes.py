"""Words hidden by JSON escapes are checked as a JSON parser will read them."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.generation import CallContext, Completion, ModelRequest, Role, StopReason, Turn
from app.domain.guardrail import Action, Mode, StreamMode
from app.services.guardrails import escapes
from tests.support.fakes.guardrail import FakeGuardrail
from tests.support.model.guarded import Spelled, guarded, streamed

HIDDEN = [
    '{"text": "first line\\nblockme"}',
    '{"text": "first line\\tblockme"}',
    '{"text": "first line\\fblockme"}',
    '{"text": "block\\u006de"}',
    '{"text": "\\u0062\\u006c\\u006f\\u0063\\u006b\\u006d\\u0065"}',
    'Here it is:\n```json\n{"text": "first line\\nblockme"}\n```',
    '{"text": "first line\\nblockme and cut off',
]


async def answered(
    text: str, guardrail: FakeGuardrail, *, begun: str = "", output: Mode = Mode.ENFORCE
) -> Completion:
    model = guarded(Spelled([text]), StreamMode.BUFFER, guardrail, output)
    asked = ModelRequest((Turn(Role.USER, "?"),), call_context=CallContext(), begun=begun)
    return await model.generate(asked)


@pytest.mark.parametrize("text", HIDDEN)
async def test_a_forbidden_word_in_json_escapes_is_blocked(text):
    completion = await answered(text, FakeGuardrail())

    assert (completion.text, completion.stop_reason) == ("", StopReason.GUARDRAIL)


@pytest.mark.parametrize("stream", [StreamMode.BUFFER, StreamMode.WINDOW])
@pytest.mark.parametrize("text", HIDDEN)
async def test_a_forbidden_word_in_json_escapes_is_not_streamed(text, stream):
    pieces = [text[place : place + 5] for place in range(0, len(text), 5)]
    deltas, finish = await streamed(guarded(Spelled(pieces), stream, FakeGuardrail()))

    assert (deltas, finish.stop_reason) == ([], StopReason.GUARDRAIL)


async def test_an_audit_reports_a_forbidden_word_in_json_escapes():
    completion = await answered(HIDDEN[0], FakeGuardrail(), output=Mode.AUDIT)

    assert completion.text == HIDDEN[0]
    assert completion.guardrail is not None
    assert completion.guardrail.action is Action.AUDITED


async def test_masking_within_json_escapes_leaves_valid_json():
    text = '{\n  "text": "first\\nann@example.org \\"said\\" C:\\\\temp",\n  "page": 2\n}'
    completion = await answered(text, FakeGuardrail())

    masked = {"text": 'first\n{EMAIL} "said" C:\\temp', "page": 2}
    assert json.loads(completion.text) == masked
    assert completion.stop_reason is StopReason.STOP


async def test_a_prefilled_json_answer_is_checked_unescaped_in_one_call():
    guardrail = FakeGuardrail()
    completion = await answered('one\\nann@example.org"}', guardrail, begun='{"text": "')

    assert completion.text == 'one\\n{EMAIL}"}'
    assert guardrail.shown[-1].texts == ('one\nann@example.org"}',)


async def test_escapes_in_a_text_that_is_not_json_are_blocked_instead_of_masked():
    completion = await answered('It says "ann\\u0040example.org".', FakeGuardrail())

    assert (completion.text, completion.stop_reason) == ("", StopReason.GUARDRAIL)


@pytest.mark.parametrize("text", [r"\nabla and \theta", r"C:\users\ann", "no escape"])
async def test_a_text_that_is_not_json_is_checked_unchanged(text):
    guardrail = FakeGuardrail()
    completion = await answered(text, guardrail)

    assert completion.text == text
    assert guardrail.shown[-1].texts[0] == text


values = st.recursive(
    st.text() | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(values, st.booleans(), st.sampled_from([None, 2]))
def test_reading_and_writing_escapes_preserves_the_value(value, ascii_only, indent):
    text = json.dumps([value, "\\"], ensure_ascii=ascii_only, indent=indent)
    again = json.loads(escapes.written(escapes.read(text)))

    assert plain(again) == plain([value, "\\"])


def plain(value: object) -> object:
    """Return ``value`` with spaces for control characters other than white space."""
    text = json.dumps(value).replace("\\\\", "\0")
    return json.loads(re.sub(r"\\u00[01][0-9a-f]|\\[bf]", " ", text).replace("\0", "\\\\"))
