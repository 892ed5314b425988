"""Each mode, dialect and verdict over a socket, with the emulator's guardrail."""

from collections.abc import Iterator

import httpx
import pytest

from app.settings import Settings
from tests.support.clients.guardrail_dialects import DIALECTS, SETTINGS, Shown
from tests.support.service.application import Rig

CLEAN = "good morning to all of you"
FORBIDDEN = "please blockme right now"
PERSONAL = "write to ann@example.org today"


@pytest.fixture
def rig(emulator_url: str) -> Rig:
    return Rig(settings=Settings(_env_file=None, endpoint_url=emulator_url, **SETTINGS))


@pytest.fixture
def http(rig: Rig) -> Iterator[httpx.Client]:
    with rig.client() as http:
        yield http


def ask(http: httpx.Client, dialect: str, prompt: str, policy: str) -> Shown:
    return DIALECTS[dialect](http, prompt, {"X-Guardrail-Policy": policy} if policy else {}, {})


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("place", ["input", "output"])
def test_mode_off_calls_no_guardrail(http, dialect, place):
    shown = ask(http, dialect, FORBIDDEN, f"{place}=off")

    assert "blockme" in shown.text
    assert (shown.blocked, shown.report) == (False, None)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("place", ["input", "output"])
@pytest.mark.parametrize("prompt", [FORBIDDEN, PERSONAL])
def test_an_audit_reports_and_withholds_nothing(http, dialect, place, prompt):
    shown = ask(http, dialect, prompt, f"{place}=audit")

    assert prompt.split()[-2] in shown.text
    assert not shown.blocked
    assert "audited" in str(shown.report)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("policy", ["input=enforce", "output=enforce", "input=audit,output=audit"])
def test_harmless_content_passes_unchanged(http, dialect, policy):
    shown = ask(http, dialect, CLEAN, policy)

    assert CLEAN in shown.text
    assert not shown.blocked
    assert "none" in str(shown.report)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_forbidden_prompt_is_never_sent_to_the_model(http, rig, dialect):
    before = len(rig.model.requests)
    shown = ask(http, dialect, FORBIDDEN, "input=enforce")

    assert (shown.text, shown.blocked, shown.deltas) == ("", True, 0)
    assert b"blockme" not in shown.raw
    assert len(rig.model.requests) == before


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_forbidden_answer_is_withheld(http, dialect):
    shown = ask(http, dialect, FORBIDDEN, "output=enforce")

    assert (shown.text, shown.blocked, shown.deltas) == ("", True, 0)
    assert b"blockme" not in shown.raw
    assert "word" in str(shown.report)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_masked_answer_is_returned_as_an_answer(http, dialect):
    shown = ask(http, dialect, PERSONAL, "output=enforce")

    assert "write to {EMAIL} today" in shown.text
    assert not shown.blocked
    assert b"ann@example.org" not in shown.raw
    assert "masked" in str(shown.report)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_masked_prompt_is_sent_masked(http, rig, dialect):
    shown = ask(http, dialect, PERSONAL, "input=enforce")

    assert "write to {EMAIL} today" in rig.model.requests[-1].turns[-1].text
    assert "{EMAIL}" in shown.text
    assert "masked" in str(shown.report)


def test_a_blocked_answer_reports_its_tokens_and_cost(http):
    answer = http.post(
        "/v1/generate", json={"prompt": FORBIDDEN}, headers={"X-Guardrail-Policy": "output=enforce"}
    )

    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "guardrail_blocked")
    assert (problem["prompt_token_count"], problem["generation_token_count"]) == (4, 5)
    assert problem["cost_usd"]["total"] > problem["guardrail"]["cost_usd"] > 0
    assert problem["guardrail"]["units"] == {"word": 1, "sensitive_information": 1}


def test_earlier_turns_and_the_system_text_are_checked(http):
    headers = {"X-Guardrail-Policy": "input=enforce"}
    first, last = {"role": "user", "content": "hello"}, {"role": "user", "content": "and now?"}
    assistant = {"role": "assistant", "content": "blockme"}
    for messages in (
        [{"role": "system", "content": "blockme"}, last],
        [first, assistant, last],
        [{"role": "user", "content": "blockme"}, {"role": "assistant", "content": "no"}, last],
    ):
        body = {"model": "us.meta.llama3-2-11b-instruct-v1:0", "messages": messages}
        answer = http.post("/v1/chat/completions", json=body, headers=headers).json()
        assert answer["choices"][0]["finish_reason"] == "content_filter"


def test_verdicts_are_counted_and_logged_without_content(http, rig, caplog):
    ask(http, "generate", FORBIDDEN, "input=enforce")

    metrics = http.get("/metrics").text
    sample = 'llama_vision_guardrail_verdicts_total{action="blocked",source="input"}'
    assert sample in metrics
    assert "llama_vision_guardrail_units_total" in metrics
    assert "blockme" not in caplog.text


def test_guardrail_units_are_part_of_a_callers_usage(http):
    ask(http, "generate", FORBIDDEN, "input=enforce")

    rows = http.get("/v1/usage").json()["data"]
    blocked = [row for row in rows if row["model"] == "(none)"]
    assert blocked
    assert sum(row["cost_usd"] for row in blocked) > 0
