"""Document texts that accompany an answer are checked together, and apart if blocked."""

import pytest

from app.domain.errors import GuardrailUnavailableError
from app.domain.generation import CallContext
from app.domain.guardrail import Action, FailureMode, GuardrailPolicy, Mode
from app.services.guardrails.document_texts import DocumentTexts
from app.services.guardrails.policies import GuardrailPolicies
from app.telemetry import RequestRecord, recording
from app.telemetry.trail import Trail
from tests.support.fakes.guardrail import FakeGuardrail
from tests.support.model.guarded import screen

TEXTS = [f"page {number}" for number in range(16)]


def judge(guardrail: FakeGuardrail, **policy: object) -> DocumentTexts:
    own = GuardrailPolicy(id="words", version="1", **{"output": Mode.ENFORCE, **policy})  # type: ignore[arg-type]
    return DocumentTexts(GuardrailPolicies(own), screen(guardrail))


async def test_harmless_texts_are_checked_in_one_call():
    guardrail = FakeGuardrail()
    released = await judge(guardrail).released(TEXTS, CallContext())

    assert released.texts == tuple(TEXTS)
    assert len(guardrail.shown) == 1


async def test_a_blocked_text_is_found_in_few_calls_and_the_others_are_released():
    guardrail = FakeGuardrail()
    texts = [*TEXTS[:5], "blockme", *TEXTS[6:]]
    released = await judge(guardrail).released(texts, CallContext())

    assert released.texts == (*TEXTS[:5], None, *TEXTS[6:])
    assert released.report is not None
    assert released.report.action is Action.MASKED
    assert len(guardrail.shown) == 1 + 2 * 4


async def test_the_verdict_on_document_texts_is_part_of_a_receipt():
    record = RequestRecord("req_1", "POST", trail=Trail())
    with recording(record):
        await judge(FakeGuardrail()).released(["write to ann@example.org"], CallContext())

    assert record.trail is not None
    (verdict,) = record.trail.verdicts
    assert (verdict["action"], verdict["policies"]) == ("masked", ["pii:EMAIL"])
    assert verdict["cost_usd"] is None
    assert record.guardrail_action == "masked"


async def test_the_policy_decides_what_happens_if_texts_cannot_be_checked():
    refusing = judge(FakeGuardrail(failing=True))
    passing = judge(FakeGuardrail(failing=True), on_failure=FailureMode.PASS)

    with pytest.raises(GuardrailUnavailableError):
        await refusing.released(TEXTS, CallContext())
    released = await passing.released(TEXTS, CallContext())
    assert released.texts == tuple(TEXTS)
    assert released.report is not None
    assert released.report.unchecked == ("output",)


async def test_without_an_output_guardrail_texts_are_not_checked():
    guardrail = FakeGuardrail()
    for texts in (
        judge(guardrail, output=Mode.OFF, input=Mode.ENFORCE),
        DocumentTexts(GuardrailPolicies()),
    ):
        assert not texts.judged(CallContext())
        assert (await texts.released(["blockme"], CallContext())).texts == ("blockme",)
    assert guardrail.shown == []
