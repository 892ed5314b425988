"""Guardrails, applied alone and around the model."""

import json
from typing import Any

import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from app.emulator.config import EmulatorConfig
from app.emulator.guardrails import personal
from app.emulator.guardrails.judgement import BLOCKED
from app.emulator.guardrails.policy import parsed
from tests.support.emulator.bodies import (
    MODEL,
    body,
    chat,
    chunks,
    drained,
    imported,
    messages,
    plain,
    written,
)
from tests.support.emulator.serving import Served, serving

HEADERS = {"guardrailIdentifier": "emulator", "guardrailVersion": "1"}
IMAGE = {"image": {"format": "png", "source": {"bytes": plain()}}}


def applied(runtime: Any, *texts: str, **more: Any) -> Any:
    content = [{"text": {"text": text}} for text in texts]
    arguments = {"source": "INPUT", "content": content, **HEADERS, **more}
    return runtime.apply_guardrail(**arguments)


def test_a_harmless_text_passes(runtime: Any) -> None:
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
def test_content_that_a_guardrail_cannot_judge_is_refused(
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


def test_invoke_model_reports_the_guardrails_action(runtime: Any) -> None:
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


def test_invoke_model_traces_the_guardrail_on_request(runtime: Any) -> None:
    assert "amazon-bedrock-trace" not in guarded(runtime, "Please blockme")
    traced = guarded(runtime, "Please blockme", trace="ENABLED")
    found = traced["amazon-bedrock-trace"]["guardrail"]["input"]["emulator"]
    assert found["wordPolicy"]["customWords"][0]["match"] == "blockme"


def test_a_streams_last_chunk_reports_the_guardrails_action(runtime: Any) -> None:
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
    assert trace["outputAssessments"] == {}  # the model was not called
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


def test_identifier_and_version_must_be_sent_together(runtime: Any) -> None:
    with pytest.raises(ClientError, match="must be given together"):
        runtime.invoke_model(modelId=MODEL, body=body(), guardrailIdentifier="emulator")


def test_guard_content_tags_without_a_guardrail_are_refused(runtime: Any) -> None:
    config: Any = {"amazon-bedrock-guardrailConfig": {"tagSuffix": "x"}}
    tagged = body(**config)
    with pytest.raises(ClientError, match="needs the guardrail"):
        runtime.invoke_model(modelId=MODEL, body=tagged)
    assert runtime.invoke_model(modelId=MODEL, body=tagged, **HEADERS)["body"].read()


def test_guardrails_are_configured_by_word_lists() -> None:
    with serving(EmulatorConfig(guardrails={"mine": ("kumquat", "two words")})) as served:
        client = served.client()
        arguments = {"guardrailIdentifier": "mine"}
        assert applied(client, "A kumquat", **arguments)["action"] == "GUARDRAIL_INTERVENED"
        assert applied(client, "Two words", **arguments)["action"] == "GUARDRAIL_INTERVENED"
        assert applied(client, "kumquats", **arguments)["action"] == "NONE"


STRICT = {"guardrailIdentifier": "strict"}


def sensitive(reply: Any) -> dict[str, Any]:
    found: dict[str, Any] = reply["assessments"][0]["sensitiveInformationPolicy"]
    return found


def test_a_pattern_blocks_or_masks(runtime: Any) -> None:
    blocked = applied(runtime, "It is SECRET-42.", **STRICT)
    assert blocked["outputs"] == [{"text": BLOCKED}]
    assert sensitive(blocked)["regexes"] == [
        {
            "name": "pattern-1",
            "regex": r"SECRET-\d+",
            "match": "SECRET-42",
            "action": "BLOCKED",
            "detected": True,
        }
    ]
    masked = applied(runtime, "See CASE-7 and CASE-8.", **STRICT)
    assert masked["outputs"] == [{"text": "See {REGEX} and {REGEX}."}]
    assert [found["action"] for found in sensitive(masked)["regexes"]] == ["ANONYMIZED"] * 2


def test_kinds_of_personal_information_block_or_mask(runtime: Any) -> None:
    blocked = applied(runtime, "My number is 123-45-6789", **STRICT)
    (entity,) = sensitive(blocked)["piiEntities"]
    assert (entity["type"], entity["action"]) == ("US_SOCIAL_SECURITY_NUMBER", "BLOCKED")
    masked = applied(runtime, "Call +49 30 1234 567 or a@b.de", **STRICT)
    assert masked["outputs"] == [{"text": "Call {PHONE} or {EMAIL}"}]
    assert masked["actionReason"] == "Guardrail masked."


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("EMAIL", "ann.b@example.org"),
        ("URL", "https://example.org/a?b"),
        ("US_SOCIAL_SECURITY_NUMBER", "123-45-6789"),
        ("CREDIT_DEBIT_CARD_NUMBER", "4111 1111 1111 1111"),
        ("INTERNATIONAL_BANK_ACCOUNT_NUMBER", "DE89 3704 0044 0532 0130 00"),
        ("MAC_ADDRESS", "00:1b:44:11:3a:b7"),
        ("IP_ADDRESS", "192.168.0.1"),
        ("AWS_ACCESS_KEY", "AKIAIOSFODNN7EXAMPLE"),
        ("PHONE", "+1 415 555 0132"),
    ],
)
def test_each_kind_is_found_only_as_itself(kind: str, text: str) -> None:
    found = list(personal.places(f"It is {text}.", frozenset(personal.PATTERNS)))
    assert found == [(kind, 6, 6 + len(text))]


@pytest.mark.parametrize("text", ["1234 5678 9012 3456", "in 2024-05-17 at 10:30", "version 1.2.3"])
def test_numbers_that_only_look_personal_are_left_alone(text: str) -> None:
    kinds = frozenset({"CREDIT_DEBIT_CARD_NUMBER", "US_SOCIAL_SECURITY_NUMBER", "IP_ADDRESS"})
    kinds |= {"PHONE"} if text.startswith("in ") else set()
    assert list(personal.places(text, kinds)) == []


def block(picture: bytes) -> dict[str, Any]:
    return {"image": {"format": "png", "source": {"bytes": picture}}}


def test_a_picture_is_blocked_by_its_colour(runtime: Any) -> None:
    assert applied(runtime, content=[block(plain(colour="blue"))], **STRICT)["action"] == "NONE"
    reply = applied(runtime, "Hi", content=[block(plain(colour="red"))], **STRICT)
    assert reply["action"] == "GUARDRAIL_INTERVENED"
    (found,) = reply["assessments"][0]["contentPolicy"]["filters"]
    assert (found["type"], found["action"], found["confidence"]) == ("VIOLENCE", "BLOCKED", "HIGH")


def test_a_picture_is_blocked_by_the_words_in_it(runtime: Any) -> None:
    picture = written("Please blockme now", size=(600, 120))
    reply = applied(runtime, content=[block(picture)], **STRICT)
    (found,) = reply["assessments"][0]["contentPolicy"]["filters"]
    assert found["type"] == "MISCONDUCT"
    harmless = written("Please read me now", size=(600, 120))
    assert applied(runtime, content=[block(harmless)], **STRICT)["action"] == "NONE"


def test_words_split_over_two_blocks_are_found_together() -> None:
    with serving(EmulatorConfig(guardrails={"mine": ("two words",)})) as served:
        parts = ("Two", "words")
        reply = applied(served.client(), " ".join(parts), guardrailIdentifier="mine")
    assert reply["action"] == "GUARDRAIL_INTERVENED"


def test_a_forbidden_picture_never_reaches_the_model(runtime: Any) -> None:
    reply = runtime.invoke_model(
        modelId=imported(),
        body=chat("Describe", plain(colour="blue"), plain(colour="red")),
        guardrailIdentifier="strict",
        guardrailVersion="1",
    )
    answer = json.loads(reply["body"].read())
    assert answer["amazon-bedrock-guardrailAction"] == "INTERVENED"
    assert answer["choices"][0]["message"]["content"] == BLOCKED


def test_too_many_pictures_are_refused(runtime: Any) -> None:
    with pytest.raises(ClientError, match="more than 20 images"):
        applied(runtime, content=[IMAGE] * 21)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("throttle", "ThrottlingException"),
        ("internal", "InternalServerException"),
        ("unavailable", "ServiceUnavailableException"),
        ("denied", "AccessDeniedException"),
        ("quota", "ServiceQuotaExceededException"),
        ("not-found", "ResourceNotFoundException"),
        ("validation", "ValidationException"),
        ("gateway-timeout", "504"),
    ],
)
def test_a_fault_in_the_identifier_makes_a_guardrail_fail(
    runtime: Any, fault: str, code: str
) -> None:
    with pytest.raises(ClientError) as caught:
        applied(runtime, "Hi", guardrailIdentifier=f"emulator.{fault}")
    assert caught.value.response["Error"]["Code"] == code


def test_a_guardrail_can_drop_the_connection_stall_and_answer_nonsense(emulator: Served) -> None:
    with pytest.raises(ConnectionClosedError):
        applied(emulator.client(), "Hi", guardrailIdentifier="emulator.drop")
    client = emulator.client(config=Config(read_timeout=0.3))
    with pytest.raises(ReadTimeoutError):
        applied(client, "Hi", guardrailIdentifier="emulator.stall")
    reply = httpx.post(
        f"{emulator.url}/guardrail/emulator.malformed/version/1/apply",
        json={"source": "INPUT", "content": [{"text": {"text": "Hi"}}]},
    )
    assert reply.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        reply.json()


def test_an_unknown_fault_is_refused_by_name(runtime: Any) -> None:
    with pytest.raises(ClientError, match="there is no fault 'nonsense'"):
        applied(runtime, "Hi", guardrailIdentifier="emulator.nonsense")


@pytest.mark.parametrize(
    "rule", ["regex:(", "pii:SHOE_SIZE", "mask-pii:", "colour:octarine", "picture-word:"]
)
def test_an_invalid_rule_stops_the_start(rule: str) -> None:
    with pytest.raises(ValueError, match=rule.partition(":")[0]):
        parsed([rule])
