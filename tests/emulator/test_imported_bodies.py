"""The three body formats of an imported model, chosen by their keys."""

import base64
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from PIL import Image

from app.emulator.config import EmulatorConfig
from app.emulator.model.sight.tiles import tiles
from tests.support.emulator.bodies import (
    MODEL,
    chat,
    data_uri,
    drained,
    encoded,
    imported,
    plain,
    replied,
    streamed,
    template,
)
from tests.support.emulator.serving import Served, serving

TURN = {"role": "user", "content": "Hi"}


def refusal(runtime: Any, model_id: str | None = None, **fields: Any) -> str:
    """Return the message of the 400 for a body."""
    with pytest.raises(ClientError) as caught:
        runtime.invoke_model(modelId=model_id or imported(), body=json.dumps(fields))
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    return str(caught.value.response["Error"]["Message"])


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"prompt": "Hi"}, None),
        ({"prompt": "Hi", "max_gen_len": 9}, None),
        ({"prompt": "Hi", "max_tokens": 9}, "text_completion"),
        ({"messages": [TURN]}, "chat.completion"),
        ({"messages": [TURN], "max_tokens": 9}, "chat.completion"),
    ],
)
def test_the_members_of_a_body_decide_the_format_of_its_answer(
    runtime: Any, fields: dict[str, Any], kind: str | None
) -> None:
    answer = replied(runtime, json.dumps(fields))
    assert answer.get("object") == kind
    assert ("generation" in answer) is (kind is None)


def test_the_foundation_model_refuses_the_formats_of_imported_models(runtime: Any) -> None:
    assert "messages" in refusal(runtime, MODEL, prompt="Hi", messages=[TURN])
    assert "max_tokens" in refusal(runtime, MODEL, prompt="Hi", max_tokens=9)
    assert "response_format" in refusal(
        runtime, MODEL, prompt="Hi", response_format={"type": "json_object"}
    )


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"prompt": "a", "messages": [TURN]}, "exclude each other"),
        ({"prompt": "a", "max_tokens": 9, "max_gen_len": 9}, "not permitted: max_gen_len"),
        ({"prompt": "a", "logprobs": 1}, "extraneous key [logprobs]"),
        ({"prompt": "a", "images": []}, "extraneous key [images]"),
        ({"prompt": "a", "images": [base64.b64encode(plain()).decode()]}, "OpenAIChatCompletion"),
        ({"prompt": "<|image|>a"}, "text only"),
        ({"prompt": "<|image|>a", "max_tokens": 9}, "text only"),
        ({"prompt": ["a"], "max_tokens": 9}, "prompt must be a string"),
        ({"prompt": "a", "max_tokens": 0}, "max_tokens must be an integer between 1"),
        ({"prompt": "a", "max_tokens": 9, "echo": True}, "not supported"),
        ({"messages": []}, "at least one message"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": []}]}, "messages.0.content"),
        ({"messages": [TURN, {"role": "assistant", "content": "a"}]}, "must be the user's"),
        ({"messages": [TURN, {"role": "system", "content": "a"}, TURN]}, "comes first"),
        ({"messages": [TURN], "tools": [{"type": "function"}]}, "tool use"),
        ({"messages": [TURN], "images": []}, "not permitted: images"),
        ({"messages": [TURN], "n": 2}, "n must be 1"),
        ({"messages": [TURN], "temperature": 2.5}, "temperature must be a number"),
        ({"messages": [TURN], "top_p": True}, "top_p must be a number"),
        ({"messages": [TURN], "stop": [""]}, "stop must be"),
        ({"messages": [TURN], "logprobs": 1}, "logprobs must be a boolean"),
        ({"messages": [TURN], "top_logprobs": 2}, "`logprobs` must be set to true"),
        ({"messages": [TURN], "logprobs": True, "top_logprobs": 21}, "between 0 and 20"),
    ],
)
def test_a_body_that_breaks_its_format_is_refused(
    runtime: Any, fields: dict[str, Any], told: str
) -> None:
    assert told in refusal(runtime, **fields)


def seen(*urls: str, role: str = "user", system: str = "") -> list[dict[str, Any]]:
    """Return a chat's messages with pictures at these URLs."""
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    opened = [{"role": "system", "content": system}] if system else []
    said = {"role": role, "content": [*parts, {"type": "text", "text": "What is it?"}]}
    return [*opened, said, *([TURN] if role != "user" else [])]


PICTURE = data_uri(plain())


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        (seen("https://example.com/a.png"), "image URLs are not supported"),
        (seen("s3://bucket/a.png"), "image URLs are not supported"),
        (seen(PICTURE.partition(",")[2]), "image URLs are not supported"),
        (seen(PICTURE.replace("image/png", "image/bmp")), "image URLs are not supported"),
        (seen(*[PICTURE] * 4), "At most 3 image(s)"),
        (seen(PICTURE, system="Be brief."), "incompatible with system messages"),
        (seen(PICTURE, role="assistant"), "images only in user messages"),
        (seen("data:image/png;base64,####"), "not valid base64"),
        (seen("data:image/png;base64,"), "the image is empty"),
        (seen(data_uri(b"no picture at all")), "could not process image"),
        (seen(data_uri(plain(), "jpeg")), "does not match"),
    ],
)
def test_a_picture_that_the_model_does_not_accept_is_refused(
    runtime: Any, messages: list[Any], told: str
) -> None:
    assert told in refusal(runtime, messages=messages)


def test_three_pictures_are_seen_in_their_order(emulator: Served, runtime: Any) -> None:
    model_id = imported()
    pictures = [plain(size) for size in ((30, 40), (50, 60), (1300, 70))]
    answer = replied(runtime, chat("Describe the pictures", *pictures), model_id)
    told = answer["choices"][0]["message"]["content"]
    places = [told.index(size) for size in ("30x40", "50x60", "1300x70")]
    assert told.startswith("[emulator] ")
    assert places == sorted(places)
    (record,) = emulator.record(model_id)["requests"]
    assert [image["width"] for image in record["images"]] == [30, 50, 1300]
    assert record["format"] == "OpenAIChatCompletion"


def test_pictures_of_several_turns_are_counted_together(runtime: Any) -> None:
    one = seen(PICTURE)[0]
    said = [one, {"role": "assistant", "content": "Red."}, one]
    assert replied(runtime, json.dumps({"messages": said}))["choices"]
    four = [*said, {"role": "assistant", "content": "Red."}, *seen(PICTURE, PICTURE)]
    assert "At most 3 image(s)" in refusal(runtime, messages=four)


@pytest.mark.parametrize(
    ("size", "count"),
    [
        ((100, 100), 1),
        ((561, 560), 2),
        ((640, 480), 2),
        ((300, 800), 2),
        ((1024, 768), 4),
        ((1920, 1080), 4),
        ((3000, 400), 4),
        ((2000, 1000), 2),
    ],
)
def test_tiles_are_those_of_the_models_own_preprocessing(size: tuple[int, int], count: int) -> None:
    assert tiles(*size) == count


def test_the_usage_includes_the_tokens_of_pictures(runtime: Any) -> None:
    without = replied(runtime, chat("What?"))["usage"]
    one = replied(runtime, chat("What?", plain()))["usage"]
    two = replied(runtime, chat("What?", plain(), plain((1100, 1100))))["usage"]
    # Its marker in the prompt, and 1601 tokens for each tile.
    assert one["prompt_tokens"] - without["prompt_tokens"] == 1 + 1601
    assert two["prompt_tokens"] - one["prompt_tokens"] == 1 + 4 * 1601
    for usage in (without, one, two):
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_a_chat_completion_has_the_members_that_bedrock_sends(runtime: Any) -> None:
    model_id = imported()
    reply = runtime.invoke_model(modelId=model_id, body=chat("Describe", plain()))
    headers, answer = reply["ResponseMetadata"]["HTTPHeaders"], json.loads(reply["body"].read())
    assert answer["id"].startswith("chatcmpl-")
    assert answer["model"] == f"123456789012-{model_id.rpartition('/')[2]}"
    (choice,) = answer["choices"]
    assert choice["message"]["role"] == "assistant"
    assert choice["message"]["refusal"] is choice["logprobs"] is choice["stop_reason"] is None
    assert choice["finish_reason"] == "stop"
    counted = answer["usage"]
    assert headers["x-amzn-bedrock-input-token-count"] == str(counted["prompt_tokens"])
    assert headers["x-amzn-bedrock-output-token-count"] == str(counted["completion_tokens"])


@pytest.mark.parametrize(
    "sent",
    [chat("Hello", max_tokens=3), json.dumps({"prompt": "Hi", "max_tokens": 3})],
    ids=["chat", "completion"],
)
def test_the_limit_cuts_an_openai_answer_with_finish_reason_length(runtime: Any, sent: str) -> None:
    answer = replied(runtime, sent)
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 3
    assert streamed(runtime, sent)[-2]["choices"][0]["finish_reason"] == "length"


def test_an_openai_answer_stops_at_a_stop_string(runtime: Any) -> None:
    (choice,) = replied(runtime, chat("Hello", stop="picture"))["choices"]
    assert choice["finish_reason"] == "stop"
    assert "picture" not in choice["message"]["content"]


def test_a_streamed_chat_equals_the_plain_one_in_chunks(runtime: Any) -> None:
    sent = chat("Describe this", plain())
    whole, parts = replied(runtime, sent), streamed(runtime, sent)
    assert {part["object"] for part in parts} == {"chat.completion.chunk"}
    assert len({part["id"] for part in parts}) == 1
    opened, *texts, end, usage = parts
    assert opened["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    said = "".join(part["choices"][0]["delta"]["content"] for part in texts)
    assert said == whole["choices"][0]["message"]["content"]
    assert {part["choices"][0]["finish_reason"] for part in texts} == {None}
    assert (end["choices"][0]["delta"], end["choices"][0]["finish_reason"]) == ({}, "stop")
    assert usage["choices"] == []
    assert usage["usage"] == whole["usage"]
    metrics = usage["amazon-bedrock-invocationMetrics"]
    assert metrics["inputTokenCount"] == whole["usage"]["prompt_tokens"]
    assert metrics["outputTokenCount"] == len(texts)
    assert all("amazon-bedrock-invocationMetrics" not in part for part in parts[:-1])


def test_a_streamed_completion_equals_the_plain_one_in_chunks(runtime: Any) -> None:
    sent = json.dumps({"prompt": template("Why?"), "max_tokens": 99, "temperature": 0})
    whole, parts = replied(runtime, sent), streamed(runtime, sent)
    *texts, end, usage = parts
    assert "".join(part["choices"][0]["text"] for part in texts) == whole["choices"][0]["text"]
    assert end["choices"][0]["finish_reason"] == "stop"
    assert usage["usage"] == whole["usage"]


@pytest.mark.parametrize("sent", [chat(), json.dumps({"prompt": "Hi", "max_tokens": 99})])
def test_a_stream_in_openai_chunks_breaks_where_a_fault_is_installed(
    runtime: Any, sent: str
) -> None:
    reply = runtime.invoke_model_with_response_stream(
        modelId=f"{imported()}.frame-throttle-after-2", body=sent
    )
    events, error = drained(reply["body"])
    chunks = [json.loads(event["chunk"]["bytes"]) for event in events]
    texts = [c for c in chunks if c["choices"][0].get("text") or c["choices"][0].get("delta")]
    assert "throttlingException" in str(error)
    assert len([c for c in texts if c["choices"][0].get("delta", {}).get("role") is None]) == 2


def test_a_guardrail_applies_to_a_chat(runtime: Any) -> None:
    reply = runtime.invoke_model(
        modelId=imported(),
        body=chat("Please blockme"),
        guardrailIdentifier="emulator",
        guardrailVersion="1",
    )
    answer = json.loads(reply["body"].read())
    assert answer["amazon-bedrock-guardrailAction"] == "INTERVENED"
    assert "blocked" in answer["choices"][0]["message"]["content"]


def test_a_configured_answer_is_given_in_every_format() -> None:
    with serving(EmulatorConfig(fixed_answer="Always this")) as served:
        client = served.client()
        said = replied(client, chat("What?", b"these bytes are never decoded"))
        assert said["choices"][0]["message"]["content"] == "Always this"
        assert said["usage"]["prompt_tokens"] > 1601
        done = replied(client, json.dumps({"prompt": "a", "max_tokens": 9}))
        assert done["choices"][0]["text"] == "Always this"


def test_a_picture_in_a_chat_may_be_larger_than_the_foundation_models_limit(runtime: Any) -> None:
    wide = encoded(Image.new("RGB", (1600, 20), "red"))
    told = replied(runtime, chat("Describe", wide))["choices"][0]["message"]["content"]
    assert "1600x20" in told
    assert "8000x8000" in refusal(
        runtime, messages=seen(data_uri(encoded(Image.new("RGB", (8001, 1)))))
    )
