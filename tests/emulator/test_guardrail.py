"""Guardrails: applied alone, and around the model."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from app.emulator.config import EmulatorConfig
from app.emulator.guardrail import BLOCKED
from tests.emulator.asking import MODEL, body, chunks, drained, imported, messages, plain
from tests.emulator.serving import serving

HEADERS = {"guardrailIdentifier": "emulator", "guardrailVersion": "1"}
IMAGE = {"image": {"format": "png", "source": {"bytes": plain()}}}


def applied(runtime: Any, *texts: str, **more: Any) -> Any:
    content = [{"text": {"text": text}} for text in texts]
    arguments = {"source": "INPUT", "content": content, **HEADERS, **more}
    return runtime.apply_guardrail(**arguments)


def test_a_text_without_fault_passes(runtime: Any) -> None:
    reply = applied(runtime, "Good morning")
    assert (reply["action"], reply["outputs"]) == ("NONE", [])
    assert reply["guardrailCoverage"]["textCharacters"] == {"guarded": 12, "total": 12}
    assert applied(runtime, "Good morning", outputScope="FULL")["outputs"] == [
        {"text": "Good morning"}
    ]


def test_a_blocked_word_blocks_the_text(runtime: Any) -> None:
    reply = applied(runtime, "Please BlockMe now")
    assert reply["action"] == "GUARDRAIL_INTERVENED"
    assert reply["outputs"] == [{"text": BLOCKED}]
    (word,) = reply["assessments"][0]["wordPolicy"]["customWords"]
    assert word == {"match": "blockme", "action": "BLOCKED", "detected": True}


def test_an_address_is_masked(runtime: Any) -> None:
    reply = applied(runtime, "Write to ann@example.org today", source="OUTPUT")
    assert reply["action"] == "GUARDRAIL_INTERVENED"
    assert reply["outputs"] == [{"text": "Write to {EMAIL} today"}]
    (entity,) = reply["assessments"][0]["sensitiveInformationPolicy"]["piiEntities"]
    assert (entity["type"], entity["match"]) == ("EMAIL", "ann@example.org")


def test_images_are_counted(runtime: Any) -> None:
    reply = applied(runtime, content=[IMAGE, IMAGE])
    assert reply["usage"]["contentPolicyImageUnits"] == 2
    assert reply["guardrailCoverage"]["images"] == {"guarded": 2, "total": 2}


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"guardrailIdentifier": "unknown"}, "ResourceNotFoundException"),
        ({"guardrailVersion": "newest"}, "ValidationException"),
        ({"content": []}, "ValidationException"),
        (
            {"content": [{"image": {"format": "gif", "source": {"bytes": plain()}}}]},
            "ValidationException",
        ),
        (
            {"content": [{"image": {"format": "png", "source": {"bytes": b"a" * 4_194_305}}}]},
            "ValidationException",
        ),
    ],
)
def test_what_a_guardrail_cannot_judge_is_refused(
    runtime: Any, more: dict[str, Any], code: str
) -> None:
    with pytest.raises(ClientError) as caught:
        applied(runtime, "Hi", **more)
    assert caught.value.response["Error"]["Code"] == code


def test_an_arn_names_a_guardrail_too(runtime: Any) -> None:
    arn = "arn:aws:bedrock:us-east-1:123456789012:guardrail/emulator"
    assert applied(runtime, "Hi", guardrailIdentifier=arn)["action"] == "NONE"


def guarded(runtime: Any, text: str, **more: Any) -> dict[str, Any]:
    reply = runtime.invoke_model(modelId=MODEL, body=body(text), **HEADERS, **more)
    answer: dict[str, Any] = json.loads(reply["body"].read())
    return answer


def test_invoke_model_tells_what_the_guardrail_did(runtime: Any) -> None:
    free = guarded(runtime, "Good morning")
    assert free["amazon-bedrock-guardrailAction"] == "NONE"
    blocked = guarded(runtime, "Please blockme")
    assert blocked["amazon-bedrock-guardrailAction"] == "INTERVENED"
    assert blocked["generation"] == BLOCKED
    masked = guarded(runtime, "I am ann@example.org")
    assert masked["amazon-bedrock-guardrailAction"] == "INTERVENED"
    assert "I am {EMAIL}" in masked["generation"]
    assert "amazon-bedrock-guardrailAction" not in json.loads(
        runtime.invoke_model(modelId=MODEL, body=body())["body"].read()
    )


def test_invoke_model_traces_the_guardrail_on_demand(runtime: Any) -> None:
    assert "amazon-bedrock-trace" not in guarded(runtime, "Please blockme")
    traced = guarded(runtime, "Please blockme", trace="ENABLED")
    found = traced["amazon-bedrock-trace"]["guardrail"]["input"]["emulator"]
    assert found["wordPolicy"]["customWords"][0]["match"] == "blockme"


def test_a_streams_last_chunk_tells_what_the_guardrail_did(runtime: Any) -> None:
    reply = runtime.invoke_model_with_response_stream(
        modelId=MODEL, body=body("Please blockme"), **HEADERS
    )
    events, error = drained(reply["body"])
    parts = [json.loads(event["chunk"]["bytes"]) for event in events]
    assert error is None
    assert "".join(part["generation"] for part in parts) == BLOCKED
    assert parts[-1]["amazon-bedrock-guardrailAction"] == "INTERVENED"
    assert "amazon-bedrock-guardrailAction" not in chunks(runtime, imported())[-1]


def test_converse_says_that_a_guardrail_intervened(runtime: Any) -> None:
    config = {**HEADERS, "trace": "enabled"}
    reply = runtime.converse(
        modelId=MODEL, messages=messages("Please blockme"), guardrailConfig=config
    )
    assert reply["stopReason"] == "guardrail_intervened"
    assert reply["output"]["message"]["content"] == [{"text": BLOCKED}]
    trace = reply["trace"]["guardrail"]
    assert trace["inputAssessment"]["emulator"]["wordPolicy"]["customWords"]
    assert trace["outputAssessments"] == {}  # the model was not asked
    free = runtime.converse(modelId=MODEL, messages=messages("Hi"), guardrailConfig=config)
    assert free["stopReason"] == "end_turn"
    assert free["trace"]["guardrail"]["outputAssessments"]["emulator"]


def test_converse_stream_ends_with_the_guardrails_reason(runtime: Any) -> None:
    reply = runtime.converse_stream(
        modelId=MODEL,
        messages=messages("Mail ann@example.org"),
        guardrailConfig={**HEADERS, "trace": "enabled"},
    )
    events, error = drained(reply["stream"])
    assert error is None
    assert events[-2]["messageStop"]["stopReason"] == "guardrail_intervened"
    found = events[-1]["metadata"]["trace"]["guardrail"]["outputAssessments"]["emulator"][0]
    assert found["sensitiveInformationPolicy"]["piiEntities"][0]["match"] == "ann@example.org"


def test_identifier_and_version_come_together(runtime: Any) -> None:
    with pytest.raises(ClientError, match="must be given together"):
        runtime.invoke_model(modelId=MODEL, body=body(), guardrailIdentifier="emulator")


def test_tags_without_a_guardrail_are_refused(runtime: Any) -> None:
    config: Any = {"amazon-bedrock-guardrailConfig": {"tagSuffix": "x"}}
    tagged = body(**config)
    with pytest.raises(ClientError, match="needs the guardrail"):
        runtime.invoke_model(modelId=MODEL, body=tagged)
    assert runtime.invoke_model(modelId=MODEL, body=tagged, **HEADERS)["body"].read()


def test_guardrails_are_configured_by_their_words() -> None:
    with serving(EmulatorConfig(guardrails={"mine": ("kumquat", "two words")})) as served:
        client = served.client()
        arguments = {"guardrailIdentifier": "mine"}
        assert applied(client, "A kumquat", **arguments)["action"] == "GUARDRAIL_INTERVENED"
        assert applied(client, "Two words", **arguments)["action"] == "GUARDRAIL_INTERVENED"
        assert applied(client, "kumquats", **arguments)["action"] == "NONE"
