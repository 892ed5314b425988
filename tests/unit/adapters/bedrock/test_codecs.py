"""Domain values to and from Bedrock's JSON."""

import base64
import json
from typing import Any

import botocore.session
import pytest
from botocore.serialize import create_serializer

from app.adapters.bedrock.codecs import converse, invoke
from app.domain.errors import InvalidParameterError, UpstreamAnswerError
from app.domain.generation import ModelRequest, Role, Sampling, StopReason, Turn
from app.domain.image import ImageType, PreparedImage
from app.domain.usage import Usage

PICTURE = PreparedImage(b"\x89PNG...", ImageType.PNG, 8, 8, "00")
SAMPLING = Sampling(temperature=0.1, top_p=0.2, max_gen_len=3)


def asked(text: str = "Why?", *images: PreparedImage, **more) -> ModelRequest:
    return ModelRequest(turns=(Turn(Role.USER, text, images),), sampling=SAMPLING, **more)


def native(request: ModelRequest) -> Any:
    return json.loads(b"".join(invoke.to_invoke(request)))


def test_the_native_body_contains_the_template_plain_base64_and_the_sampling():
    body = native(asked("Why?", PICTURE, system="Be brief."))

    assert body == {
        "prompt": "<|begin_of_text|>"
        "<|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\n<|image|>Why?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        "images": [base64.b64encode(PICTURE.data).decode()],
        "temperature": 0.1,
        "top_p": 0.2,
        "max_gen_len": 3,
    }


def test_a_text_prompt_has_no_images_key():
    assert "images" not in native(asked())


def test_a_raw_prompt_is_sent_exactly_as_written():
    body = native(asked("<|begin_of_text|> \uff1c x", raw_prompt=True))

    assert body["prompt"] == "<|begin_of_text|> \uff1c x"


def test_a_conversation_renders_turn_by_turn():
    turns: tuple[Turn[PreparedImage], ...] = (
        Turn(Role.USER, "Hi"),
        Turn(Role.ASSISTANT, "Hello."),
        Turn(Role.USER, "Bye"),
    )

    prompt = native(ModelRequest(turns=turns))["prompt"]

    assert prompt == (
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nHello.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nBye<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )


@pytest.mark.parametrize(
    ("answer", "reason", "raw"),
    [
        ({"stop_reason": "stop"}, StopReason.STOP, "stop"),
        ({"stop_reason": "length"}, StopReason.LENGTH, "length"),
        ({"stop_reason": "tired"}, StopReason.OTHER, "tired"),
        ({}, StopReason.OTHER, None),
        (
            {"stop_reason": "stop", "amazon-bedrock-guardrailAction": "INTERVENED"},
            StopReason.GUARDRAIL,
            "stop",
        ),
        (
            {"stop_reason": "stop", "amazon-bedrock-guardrailAction": "NONE"},
            StopReason.STOP,
            "stop",
        ),
    ],
)
def test_native_stop_reasons_are_mapped_and_unknown_ones_kept(answer, reason, raw):
    completion = invoke.from_invoke(json.dumps({"generation": "x", **answer}).encode(), {})

    assert (completion.stop_reason, completion.stop_reason_raw) == (reason, raw)


def test_token_counts_missing_in_the_native_body_are_taken_from_the_headers():
    headers = {
        "x-amzn-bedrock-input-token-count": "11",
        "x-amzn-bedrock-output-token-count": "2",
        "x-amzn-bedrock-invocation-latency": "345",
    }
    completion = invoke.from_invoke(b'{"generation": "x"}', headers)

    assert completion.usage == Usage(11, 2)
    assert completion.latency_ms == 345


def test_a_generation_that_is_null_is_an_empty_text():
    assert not invoke.from_invoke(b'{"generation": null, "stop_reason": "stop"}', {}).text


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'"x"', b"{}"])
def test_an_answer_that_is_not_a_generation_is_an_error(body):
    with pytest.raises(UpstreamAnswerError):
        invoke.from_invoke(body, {})


def test_the_converse_request_puts_the_picture_before_the_text():
    parameters = converse.to_converse(asked("Why <|eot_id|>?", PICTURE, system="Brief"))

    assert parameters == {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"image": {"format": "png", "source": {"bytes": PICTURE.data}}},
                    {"text": "Why <| eot_id |>?"},
                ],
            }
        ],
        "system": [{"text": "Brief"}],
        "inferenceConfig": {"maxTokens": 3, "temperature": 0.1, "topP": 0.2},
    }


def test_the_converse_body_equals_the_sdks_serialisation_of_the_request():
    request = asked("Why? \N{CAT FACE}", PICTURE, system="Brief")
    model = botocore.session.get_session().get_service_model("bedrock-runtime")
    parameters = {"modelId": "x", **converse.to_converse(request)}
    sdk = create_serializer("rest-json").serialize_to_request(
        parameters, model.operation_model("ConverseStream")
    )

    assert json.loads(b"".join(converse.to_body(request))) == json.loads(sdk["body"])


def test_a_raw_prompt_cannot_be_sent_by_converse():
    with pytest.raises(InvalidParameterError, match="invoke dialect"):
        converse.to_converse(asked(raw_prompt=True))


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("end_turn", StopReason.STOP),
        ("stop_sequence", StopReason.STOP),
        ("max_tokens", StopReason.LENGTH),
        ("model_context_window_exceeded", StopReason.LENGTH),
        ("guardrail_intervened", StopReason.GUARDRAIL),
        ("content_filtered", StopReason.GUARDRAIL),
        ("tool_use", StopReason.OTHER),
        ("from_the_future", StopReason.OTHER),
    ],
)
def test_converse_stop_reasons_are_mapped_and_unknown_ones_kept(raw, reason):
    answer = {"output": {"message": {"content": [{"text": "a"}, {"text": "b"}]}}, "stopReason": raw}

    completion = converse.from_converse(json.dumps(answer).encode())

    assert completion.text == "ab"
    assert (completion.stop_reason, completion.stop_reason_raw) == (reason, raw)
    assert completion.usage == Usage(None, None)


def test_a_converse_answer_without_a_message_is_an_error():
    with pytest.raises(UpstreamAnswerError):
        converse.from_converse(b'{"output": {}}')


@pytest.mark.parametrize("raw", [False, True])
def test_a_lone_surrogate_in_a_prompt_does_not_prevent_sending_it(raw):
    body = native(asked("cut \ud83d here", raw_prompt=raw))

    assert "cut \ufffd here" in body["prompt"]


def test_a_lone_surrogate_does_not_lose_a_paid_answer():
    native = invoke.from_invoke(b'{"generation": "cut \\ud83d"}', {})
    block = {"output": {"message": {"content": [{"text": "cut \ud83d"}]}}}

    assert native.text == converse.from_converse(json.dumps(block).encode()).text == "cut \ufffd"
