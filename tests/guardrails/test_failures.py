"""Guardrails that are unreachable, slow or answer nonsense."""

from typing import Any

import httpx
import pytest

from app.settings import Settings
from tests.support.clients.guardrail_dialects import SETTINGS
from tests.support.fakes.ports import FakeVisionModel
from tests.support.service.application import Rig

FAULTS = {
    "unavailable": "strict.unavailable",
    "throttled for good": "strict.throttle",
    "denied": "strict.denied",
    "without an answer": "strict.drop",
    "slow": "strict.first-token-5000ms",
    "malformed": "strict.malformed",
    "a gateway's page": "strict.bad-gateway",
    "not there": "unknown",
}


def rig(emulator_url: str, **more: Any) -> Rig:
    # Short only for the slow fault: a loaded machine may take a second.
    seconds = 1 if more["guardrail_id"] == FAULTS["slow"] else 20
    settings: dict[str, Any] = {**SETTINGS, "guardrail_timeout": seconds, **more}
    return Rig(settings=Settings(_env_file=None, endpoint_url=emulator_url, **settings))


def ask(http: httpx.Client, **body: object) -> httpx.Response:
    return http.post("/v1/generate", json={"prompt": "blockme", **body})


@pytest.mark.parametrize("fault", FAULTS)
def test_the_model_is_not_called_if_the_prompt_cannot_be_checked(emulator_url, fault):
    made = rig(emulator_url, guardrail_id=FAULTS[fault], guardrail_input="enforce")
    with made.client() as http:
        answer = ask(http)

        assert (answer.status_code, answer.json()["code"]) == (503, "guardrail_unavailable")
        assert answer.json()["retryable"]
        assert isinstance(made.model, FakeVisionModel)
        assert made.model.requests == []
        assert 'guardrail_failures_total{source="input"} 1' in http.get("/metrics").text


@pytest.mark.parametrize("fault", ["unavailable", "slow", "malformed"])
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_cannot_be_checked_is_withheld_and_its_tokens_reported(
    emulator_url, fault, stream
):
    made = rig(emulator_url, guardrail_id=FAULTS[fault], guardrail_output="enforce")
    with made.client() as http:
        answer = ask(http, stream=stream)

    assert answer.status_code == (200 if stream else 503)
    assert "guardrail_unavailable" in answer.text
    assert "[fake" not in answer.text
    assert '"generation_token_count":2' in answer.text


@pytest.mark.parametrize("fault", ["unavailable", "slow", "malformed"])
def test_a_setting_passes_unchecked_content_with_a_warning(emulator_url, fault):
    modes = {"guardrail_input": "enforce", "guardrail_output": "enforce"}
    made = rig(emulator_url, guardrail_id=FAULTS[fault], guardrail_on_failure="pass", **modes)
    with made.client() as http:
        answer = ask(http).json()

    assert "blockme" in answer["generation"]
    assert [warning["code"] for warning in answer["warnings"]] == ["guardrail_not_asked"]


def test_an_audit_never_refuses(emulator_url):
    made = rig(emulator_url, guardrail_id=FAULTS["unavailable"], guardrail_input="audit")
    with made.client() as http:
        assert ask(http).status_code == 200


def test_a_temporary_failure_of_the_guardrail_is_retried(emulator_url):
    made = rig(emulator_url, guardrail_id="strict.throttle-first-2", guardrail_input="enforce")
    with made.client() as http:
        assert ask(http).json()["code"] == "guardrail_blocked"
