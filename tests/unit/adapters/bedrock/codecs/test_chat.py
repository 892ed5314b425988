"""OpenAI chat completions: requests, and answers in every variant that is accepted."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.adapters.bedrock.codecs import chat
from app.adapters.bedrock.codecs.chat_errors import refused_form
from app.adapters.bedrock.codecs.json import MAX_COUNT
from app.domain.errors import (
    InvalidParameterError,
    ModelFailedError,
    OutputFormRefusedError,
    UpstreamAnswerError,
    UpstreamValidationError,
)
from app.domain.generation import Delta, Finish, ModelRequest, Role, Sampling, StopReason, Turn
from app.domain.image import ImageType, PreparedImage
from app.domain.model import Capabilities
from app.domain.output import Choice, JsonObject, JsonSchema, OutputForm, TokenChance, TokenLogprob
from app.domain.usage import Usage

ALL = Capabilities(max_images=3, structured_output=True, choice=True, logprobs=True, stop=True)
PICTURE = PreparedImage(b"\x89PNG...", ImageType.PNG, 8, 8)
SAMPLING = Sampling(temperature=0.1, top_p=0.2, max_gen_len=3)
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 2**70}}}


def asked(text: str = "Why?", *images: PreparedImage, **more: Any) -> ModelRequest:
    return ModelRequest(turns=(Turn(Role.USER, text, images),), sampling=SAMPLING, **more)


def sent(request: ModelRequest, able: Capabilities = ALL, **more: object) -> Any:
    return json.loads(b"".join(chat.to_chat(request, able, **more)))


def part(picture: PreparedImage) -> dict[str, Any]:
    data = base64.b64encode(picture.data).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}


def test_pictures_precede_their_turns_text_in_order_as_data_uris():
    other = PreparedImage(bytes(100_000), ImageType.PNG, 8, 8)

    body = sent(asked("Which <|eot_id|>?", PICTURE, other, PICTURE))

    text = {"type": "text", "text": "Which <| eot_id |>?"}
    assert body == {
        "messages": [
            {"role": "user", "content": [part(PICTURE), part(other), part(PICTURE), text]}
        ],
        "max_tokens": 3,
        "temperature": 0.1,
        "top_p": 0.2,
    }


def test_a_text_alone_is_a_plain_string_after_its_system_turn():
    assert sent(asked("Why \ud83d?", system="Be <|x|> brief."))["messages"] == [
        {"role": "system", "content": "Be <| x |> brief."},
        {"role": "user", "content": "Why \ufffd?"},
    ]


def test_with_a_picture_in_any_turn_the_system_text_joins_the_first_turn():
    turns: tuple[Turn[PreparedImage], ...] = (
        Turn(Role.USER, "Hi"),
        Turn(Role.ASSISTANT, "Hello."),
        Turn(Role.USER, "", (PICTURE,)),
    )

    assert sent(ModelRequest(turns, system="Be brief."))["messages"] == [
        {"role": "user", "content": "Be brief.\n\nHi"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": [part(PICTURE)]},
    ]


@pytest.mark.parametrize(
    ("form", "members"),
    [
        (JsonObject(), {"response_format": {"type": "json_object"}}),
        (
            JsonSchema("answer", SCHEMA),
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "answer", "schema": SCHEMA},
                }
            },
        ),
        (Choice(("yes", "no")), {"structured_outputs": {"choice": ["yes", "no"]}}),
    ],
)
def test_the_output_form_is_sent_where_the_model_can_enforce_it(form, members):
    assert members.items() <= sent(asked(form=form)).items()
    assert (
        not {"response_format", "structured_outputs"}
        & sent(asked(form=form), Capabilities()).keys()
    )


@pytest.mark.parametrize(
    ("wanted", "members"),
    [(None, {}), (0, {"logprobs": True}), (5, {"logprobs": True, "top_logprobs": 5})],
)
def test_log_probabilities_are_requested_where_available(wanted, members):
    body = sent(asked(logprobs=wanted))

    assert {name: body[name] for name in ("logprobs", "top_logprobs") if name in body} == members
    assert "logprobs" not in sent(asked(logprobs=wanted), Capabilities())


def test_stop_sequences_are_sent_only_where_the_upstream_reports_which_one_matched():
    assert sent(asked(stop=("a", "b")))["stop"] == ["a", "b"]
    assert "stop" not in sent(asked(stop=("a",)), Capabilities())


def test_a_raw_prompt_cannot_be_sent_as_a_chat():
    with pytest.raises(InvalidParameterError, match="invoke dialect"):
        chat.to_chat(asked(raw_prompt=True), ALL)


def answer(**changes: Any) -> dict[str, Any]:
    """Return an answer as in AWS's documentation."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "123456789012-abc",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "A cat.", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
                "stop_reason": None,
            }
        ],
        "usage": {"prompt_tokens": 2795, "completion_tokens": 3, "total_tokens": 2798},
        "kv_transfer_params": None,
        **changes,
    }


def read(said: object, headers: dict[str, str] | None = None) -> Any:
    return chat.from_chat(json.dumps(said).encode(), headers or {})


def test_an_answer_is_read_with_its_counts_and_its_finish_reason():
    completion = read(answer(), {"x-amzn-bedrock-invocation-latency": "345"})

    assert completion.text == "A cat."
    assert completion.usage == Usage(2795, 3)
    assert (completion.stop_reason, completion.stop_reason_raw) == (StopReason.STOP, "stop")
    assert completion.latency_ms == 345
    assert completion.logprobs is None


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("length", StopReason.LENGTH),
        ("content_filter", StopReason.GUARDRAIL),
        ("abort", StopReason.OTHER),
        (None, StopReason.OTHER),
    ],
)
def test_unknown_finish_reasons_are_kept(raw, reason):
    completion = read(answer(choices=[{"message": {"content": "x"}, "finish_reason": raw}]))

    assert (completion.stop_reason, completion.stop_reason_raw) == (reason, raw)


NOTHING = st.sampled_from([None, [], {}, "", 0, -1, 1.5, True, 2**64 - 1, [None], {"x": None}])


@st.composite
def disturbed(draw: st.DrawFn) -> dict[str, Any]:
    """Draw an answer with its text in place and arbitrary values elsewhere."""
    message = {"content": "A cat.", **draw(st.dictionaries(st.just("refusal"), NOTHING))}
    choice = {
        "message": message,
        **draw(st.dictionaries(st.sampled_from(["logprobs", "finish_reason", "index"]), NOTHING)),
    }
    names = st.sampled_from(["usage", "id", "created", "amazon-bedrock-guardrailAction", "new"])
    counts = st.dictionaries(st.sampled_from(["prompt_tokens", "completion_tokens"]), NOTHING)
    return {"choices": [choice], **draw(st.dictionaries(names, NOTHING | counts))}


@given(disturbed())
def test_a_paid_text_is_kept_whatever_surrounds_it(said):
    completion = read(said)

    assert completion.text == "A cat."
    for count in (completion.usage.prompt_token_count, completion.usage.generation_token_count):
        assert count is None or 0 <= count <= MAX_COUNT


@pytest.mark.parametrize(
    "choice",
    [
        {"message": {"content": [{"type": "text", "text": "A "}, {"text": "cat."}, 5]}},
        {"message": {"content": None, "refusal": "A cat."}},
        {"text": "A cat."},
    ],
)
def test_a_text_is_found_in_each_place_where_servers_put_it(choice):
    assert read(answer(choices=[choice])).text == "A cat."


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b'"x"', b"{}", b'{"choices":[]}', b'{"choices":[{}]}', b"[" * 10**6],
    ids=lambda body: body[:12].decode(),
)
def test_an_answer_that_is_not_a_chat_completion_is_an_error(body):
    with pytest.raises(UpstreamAnswerError):
        chat.from_chat(body, {})


def scored(token: str, logprob: Any = -0.5, **more: Any) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode()), **more}


def test_log_probabilities_are_read_with_their_alternatives_likeliest_first():
    top = [scored("dog", -2), scored("cat", -0.5), {"token": "?"}]
    content = [scored("A"), scored(" cat", 1e-9, top_logprobs=top, bytes=None)]
    choice = {"message": {"content": "A cat"}, "logprobs": {"content": content}}

    assert read(answer(choices=[choice])).logprobs == (
        TokenLogprob("A", -0.5, (), b"A"),
        TokenLogprob(" cat", 0.0, (TokenChance("cat", -0.5), TokenChance("dog", -2.0)), None),
    )


@pytest.mark.parametrize("logprob", [None, "x", True, float("-inf"), float("nan"), 10**400, 7])
def test_log_probabilities_are_dropped_as_a_whole_when_one_is_malformed(logprob):
    said = {"content": [scored("A"), scored(" cat", logprob)]}
    choice = {"message": {"content": "A cat"}, "logprobs": said}

    completion = read(answer(choices=[choice]))

    assert completion.text == "A cat"
    assert completion.logprobs is None


def piece(text: str | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    delta = {} if text is None else {"content": text}
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


USAGE: Any = {"usage": {"prompt_tokens": 9, "completion_tokens": 2}}
METRICS: Any = {
    "amazon-bedrock-invocationMetrics": {
        "inputTokenCount": 9,
        "outputTokenCount": 2,
        "invocationLatency": 12,
    }
}


def streamed(*chunks: dict[str, Any] | str) -> tuple[chat.ChunkDecoder, list[Any]]:
    decoder = chat.ChunkDecoder()
    parts: list[Any] = []
    for said in chunks:
        if decoder.finished:
            break
        parts += decoder.feed(said if isinstance(said, str) else json.dumps(said).encode())
    return decoder, [*parts, *decoder.end()]


@pytest.mark.parametrize(
    ("end", "latency"),
    [
        ((piece(finish="length"), {"choices": [], **USAGE, **METRICS}), 12),
        ((piece(finish="length"), {"choices": [], **USAGE}, "[DONE]"), None),
        ((piece(finish="length", **METRICS),), 12),
        ((piece(finish="length", **USAGE),), None),
        ((piece("", "length"), {"choices": None, "usage": None}, METRICS), 12),
    ],
)
def test_token_counts_come_with_the_last_chunk_or_after_it(end, latency):
    head = {"choices": [{"delta": {"role": "assistant"}}]}
    decoder, parts = streamed(head, piece("A"), piece(" cat"), *end)

    *deltas, finish = parts
    assert [delta.text for delta in deltas] == ["A", " cat"]
    assert finish == Finish(Usage(9, 2), StopReason.LENGTH, "length", latency)
    assert decoder.finished


def test_a_stream_without_token_counts_has_still_finished():
    decoder, parts = streamed(piece("Hi"), piece(finish="stop"))

    assert parts == [Delta("Hi"), Finish(Usage(), StopReason.STOP, "stop")]
    assert decoder.finished


def test_a_stream_that_ends_with_done_alone_has_an_unknown_stop_reason():
    decoder, parts = streamed(piece("Hi"), " [DONE]\n")

    assert parts == [Delta("Hi"), Finish(Usage(), StopReason.OTHER, None)]
    assert decoder.finished


def test_a_stream_without_a_finish_reason_has_not_finished():
    decoder, parts = streamed(piece("Hi"), {"choices": [], **USAGE})

    assert parts == [Delta("Hi")]
    assert not decoder.finished


def test_the_last_chunks_text_is_kept_and_half_a_character_replaced():
    _, parts = streamed(piece("a\ud83d"), piece("\ude31b"), piece("c\ud83d", "stop", **USAGE))

    assert [part.text for part in parts[:-1]] == [
        "a",
        "\N{FACE SCREAMING IN FEAR}b",
        "c\N{REPLACEMENT CHARACTER}",
    ]


def test_log_probabilities_arrive_with_their_text():
    def token(text: str, finish: str | None = None) -> dict[str, Any]:
        said = piece(text, finish)
        said["choices"][0]["logprobs"] = {"content": [scored("x")]}
        return said

    _, parts = streamed(token("\ud83d"), token("\ude31"), token("", "stop"), METRICS)

    score = TokenLogprob("x", -0.5, (), b"x")
    assert [(part.text, part.logprobs) for part in parts[:-1]] == [
        ("\N{FACE SCREAMING IN FEAR}", (score, score)),
        ("", (score,)),
    ]


def test_an_error_object_in_place_of_a_chunk_is_a_model_failure():
    with pytest.raises(ModelFailedError):
        streamed(piece("Hi"), {"error": {"message": "CUDA", "code": 500}})


@pytest.mark.parametrize("said", ["<", "[]", '"x"', "5", "null"])
def test_a_chunk_that_is_not_an_object_is_an_error(said):
    with pytest.raises(UpstreamAnswerError):
        streamed(said)


@pytest.mark.parametrize(
    ("form", "message", "raised"),
    [
        (JsonObject(), "The provided JSON schema contains features", OutputFormRefusedError),
        (Choice(("a",)), "Extra inputs are not permitted: structured_outputs",
         OutputFormRefusedError),
        (None, "The provided JSON schema contains features", UpstreamValidationError),
        (JsonObject(), "max_tokens is too large", UpstreamValidationError),
    ],
)  # fmt: skip
def test_refusals_of_the_output_form_are_recognised(
    form: OutputForm | None, message: str, raised: type[Exception]
):
    with pytest.raises(UpstreamValidationError) as caught, refused_form(asked(form=form)):
        raise UpstreamValidationError(message)

    assert type(caught.value) is raised
