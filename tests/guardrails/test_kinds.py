"""The other kinds of guardrail, and which policies callers may request."""

import json
from importlib.resources import files
from typing import Any

import pytest

from app.domain import key
from app.domain.access import Scope
from app.domain.guardrail import GuardrailReport
from app.settings import Settings
from tests.support.clients.guardrail_dialects import MODEL, SETTINGS
from tests.support.fakes.ports import FakeVisionModel
from tests.support.service.application import Rig

PRICES = files("app.services.usage") / "prices.json"


def settings(emulator_url: str, **more: Any) -> Settings:
    return Settings(_env_file=None, endpoint_url=emulator_url, **more)


def checks(emulator_url: str, **more: Any) -> Rig:
    thresholds = {"VIOLENCE": 0.5, "JAILBREAK": 0.5, "EMAIL": 0.9}
    return Rig(
        settings=settings(
            emulator_url, guardrail_kind="checks", guardrail_thresholds=thresholds, **more
        )
    )


@pytest.mark.parametrize(
    ("prompt", "action", "policies"),
    [
        ("VIOLENCE=0.49 is fine", "none", []),
        ("VIOLENCE=0.5 is not", "blocked", ["content:VIOLENCE"]),
        ("HATE=1.0 is not asked about", "none", []),
        ("JAILBREAK=0.9", "blocked", ["prompt_attack:JAILBREAK"]),
        ("write to ann@example.org or bob@example.org", "masked", ["pii:EMAIL"]),
    ],
)
def test_scores_are_compared_with_our_own_thresholds(emulator_url, prompt, action, policies):
    made = checks(emulator_url)
    with made.client() as http:
        answer = http.post("/v1/generate", json={"prompt": prompt}).json()

    report = answer["guardrail"]
    assert (report["action"], report["policies"]) == (action, policies)
    if action == "masked":
        assert isinstance(made.model, FakeVisionModel)
        assert made.model.requests[0].turns[0].text == "write to {EMAIL} or {EMAIL}"


def test_an_answer_is_not_checked_for_prompt_attacks(emulator_url):
    with checks(emulator_url, guardrail_input="off").client() as http:
        answer = http.post("/v1/generate", json={"prompt": "JAILBREAK=0.9"})

    assert answer.json()["guardrail"]["action"] == "none"


IMPORTED = "arn:aws:bedrock:us-west-2:123456789012:imported-model/llama32vis11"


@pytest.mark.parametrize("dialect", ["invoke", "converse", "chat"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("prompt", "outcome"),
    [("hello", '"action":"none"'), ("blockme", "guardrail_blocked"), ("x@y.org", "masked")],
)
def test_bedrocks_own_guardrail_is_requested_and_its_trace_read(
    emulator_url, dialect, stream, prompt, outcome
):
    made = settings(
        emulator_url,
        guardrail_kind="model",
        guardrail_id="emulator",
        guardrail_version="1",
        dialect=dialect,
        **({"model_id": IMPORTED} if dialect == "chat" else {}),
    )
    with Rig(model=None, settings=made).client() as http:
        prompt = f"Repeat this: {prompt}"
        answer = http.post("/v1/generate", json={"prompt": prompt, "stream": stream})

    assert outcome in answer.text
    assert '"word":' in answer.text


def named(identifier: str = "strict", version: str = "1", **more: str) -> dict[str, object]:
    config = {"guardrailIdentifier": identifier, "guardrailVersion": version, **more}
    return {
        "messages": [{"role": "user", "content": [{"text": "blockme"}]}],
        "guardrailConfig": config,
    }


def test_converse_may_name_only_the_operators_guardrail(emulator_url):
    with Rig(settings=settings(emulator_url, **SETTINGS)).client() as http:
        path = f"/model/{MODEL}/converse"
        arn = "arn:aws:bedrock:us-west-2:123456789012:guardrail/strict"
        for identifier in ("strict", arn):
            answer = http.post(path, json=named(identifier, trace="enabled")).json()
            assert answer["stopReason"] == "guardrail_intervened"
            assert "wordPolicy" in str(answer["trace"])
        for other in (named("other"), named(version="2")):
            answer = http.post(path, json=other)
            assert (answer.status_code, answer.json()["code"]) == (403, "guardrail_policy")
        answer = http.post(path, json=named(streamProcessingMode="async"))
        assert answer.json()["code"] == "guardrail_policy"


def test_invokes_headers_must_name_it_with_its_version(emulator_url):
    headers = {
        "X-Amzn-Bedrock-GuardrailIdentifier": "strict",
        "X-Amzn-Bedrock-GuardrailVersion": "1",
    }
    with Rig(settings=settings(emulator_url, **SETTINGS)).client() as http:
        path = f"/model/{MODEL}/invoke"
        answer = http.post(path, json={"prompt": "blockme"}, headers=headers).json()
        assert answer["amazon-bedrock-guardrailAction"] == "INTERVENED"
        half = {"X-Amzn-Bedrock-GuardrailIdentifier": "strict"}
        assert http.post(path, json={"prompt": "x"}, headers=half).status_code == 400


@pytest.mark.parametrize(
    ("own", "wish", "status"),
    [
        ({}, "output=enforce", 200),
        ({}, "output=audit", 403),
        ({}, "stream=window", 403),
        ({}, "on_failure=pass", 403),
        ({}, "image=enforce", 200),
        ({}, "colour=enforce", 422),
        ({}, "output=always", 422),
        ({"guardrail_output": "audit", "guardrail_stream": "audit"}, "stream=window", 200),
    ],
)
def test_a_request_may_choose_a_stricter_policy_but_not_a_laxer_one(
    emulator_url, own, wish, status
):
    strict = {**SETTINGS, "guardrail_input": "enforce", "guardrail_output": "enforce", **own}
    with Rig(settings=settings(emulator_url, **strict)).client() as http:
        headers = {"X-Guardrail-Policy": wish}
        answer = http.post("/v1/generate", json={"prompt": "hello"}, headers=headers)

    assert answer.status_code == status, answer.text


def test_without_a_guardrail_no_policy_can_be_requested():
    with Rig().client() as http:
        headers = {"X-Guardrail-Policy": "input=enforce"}
        answer = http.post("/v1/generate", json={"prompt": "hello"}, headers=headers)

    assert answer.json()["code"] == "unsupported_parameter"


def test_a_key_can_have_its_own_policy(emulator_url):
    strict, record = key.issue("strict", (Scope.GENERATE,), guardrail={"input": "enforce"})
    lax, other = key.issue("lax", (Scope.GENERATE,))
    made = settings(emulator_url, keys=key.render((record, other)), **SETTINGS)
    with Rig(settings=made).client() as http:
        body = {"prompt": "blockme"}
        for secret, status in ((strict, 422), (lax, 200)):
            headers = {"Authorization": f"Bearer {secret}"}
            assert http.post("/v1/generate", json=body, headers=headers).status_code == status


def test_a_shared_idempotency_key_implies_one_policy(emulator_url):
    with Rig(settings=settings(emulator_url, **SETTINGS)).client() as http:
        headers = {"Idempotency-Key": "one"}
        first = http.post("/v1/generate", json={"prompt": "blockme"}, headers=headers)
        headers["X-Guardrail-Policy"] = "output=enforce"
        second = http.post("/v1/generate", json={"prompt": "blockme"}, headers=headers)

    assert (first.status_code, second.json()["code"]) == (200, "idempotency_conflict")


def test_guardrail_checks_count_towards_a_callers_spend(emulator_url):
    made = settings(
        emulator_url,
        limits={"spend": "0.000100/hour"},
        **{**SETTINGS, "guardrail_input": "enforce"},
    )
    with Rig(settings=made).client() as http:
        codes = [
            http.post("/v1/generate", json={"prompt": "blockme"}).json()["code"] for _ in range(2)
        ]

    assert codes == ["guardrail_blocked", "rate_limited"]


def test_units_without_a_known_price_make_the_cost_unknown(emulator_url):
    with checks(emulator_url).client() as http:
        answer = http.post("/v1/generate", json={"prompt": "hello"}).json()
        (row,) = http.get("/v1/usage").json()["data"]

    assert answer["guardrail"]["units"]["content_filter"] == 2
    assert (answer["guardrail"]["cost_usd"], answer["cost_usd"]) == (None, None)
    assert row["unpriced"] == 1
    assert row["cost_usd"] > 0, "the tokens are priced all the same"


def test_a_price_file_sets_the_cost_of_units(emulator_url, tmp_path):
    table = json.loads(PRICES.read_text())
    own = {"content_filter": 0.001, "prompt_attack": 0, "personal_information": 0.002}
    table["guardrail_units_usd"] |= own
    file = tmp_path / "prices.json"
    file.write_text(json.dumps(table))
    with checks(emulator_url, prices_file=file).client() as http:
        answer = http.post("/v1/generate", json={"prompt": "hello"}).json()
        rows = http.get("/v1/usage").json()["data"]

    assert answer["guardrail"]["cost_usd"] == 0.006
    assert answer["cost_usd"]["guardrail"] == 0.006
    assert [row["unpriced"] for row in rows] == [0]


def test_only_units_that_the_price_table_calls_free_cost_nothing(emulator_url):
    with Rig(settings=settings(emulator_url, **SETTINGS)).client() as http:
        headers = {"X-Guardrail-Policy": "output=enforce"}
        answer = http.post("/v1/generate", json={"prompt": "hello"}, headers=headers).json()

    assert answer["guardrail"]["units"] == {"word": 1, "sensitive_information": 1}
    assert answer["guardrail"]["cost_usd"] == 0.0001


@pytest.mark.parametrize(("one", "other", "both"), [(1, 2, 3), (None, 2, None), (0, None, None)])
def test_a_sum_with_an_unknown_cost_is_unknown(one, other, both):
    report = GuardrailReport(cost_usd=one) + GuardrailReport(cost_usd=other)

    assert report.cost_usd == both


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("on_failure", "outcome"),
    [("refuse", "guardrail_unavailable"), ("pass", "guardrail_not_asked")],
)
def test_an_answer_without_a_guardrail_trace_had_none(on_failure, outcome, stream):
    own: dict[str, Any] = {
        "guardrail_kind": "model",
        "guardrail_id": "emulator",
        "guardrail_on_failure": on_failure,
    }
    # The fake server ignores the guardrail.
    with Rig(settings=Settings(_env_file=None, **own)).client() as http:
        answer = http.post("/v1/generate", json={"prompt": "hello", "stream": stream})

    assert outcome in answer.text
    assert ("hello" in answer.text) is (on_failure == "pass")


def test_a_target_other_than_bedrock_cannot_have_bedrocks_guardrail():
    own: dict[str, Any] = {
        "openai_url": "http://127.0.0.1:1/v1",
        "openai_model": "own",
        "dialect": "openai",
        "guardrail_id": "emulator",
    }
    Settings(_env_file=None, guardrail_kind="apply", **own)
    with pytest.raises(ValueError, match="guardrail_kind: is model, but"):
        Settings(_env_file=None, guardrail_kind="model", **own)
