"""The official openai package against the service: docs/openai.md."""

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from app.domain.access import Scope
from app.domain.generation import Completion, StopReason
from app.domain.model import Dialect
from app.domain.usage import Usage
from app.settings import Settings
from tests.support.fakes.ports import FakeVisionModel
from tests.support.files.pictures import ASTRONAUT, ROCKET, b64
from tests.support.model.dialects import ALIAS
from tests.support.model.scripted import ScriptedVisionModel
from tests.support.servers.uvicorn import serving
from tests.support.service.access import add_key, guarded
from tests.support.service.application import Rig
from tests.support.service.emulated import Service, model_arn, running

MODEL = "us.meta.llama3-2-11b-instruct-v1:0"


@contextmanager
def client_of(url: str, **options: Any) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{url}/v1", api_key="key", **options) as client:
        yield client


@pytest.fixture
def client(service: Service) -> Iterator[OpenAI]:
    with client_of(service.url) as client:
        yield client


@pytest.fixture
def model() -> FakeVisionModel:
    return FakeVisionModel()


@pytest.fixture
def fake(model: FakeVisionModel) -> Iterator[OpenAI]:
    """A client of a service whose model repeats its prompt."""
    with serving(Rig(model).app()) as url, client_of(url, max_retries=0) as client:
        yield client


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content[0] if isinstance(content[0], str) else content}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def picture(data: bytes, media_type: str = "image/png") -> dict[str, Any]:
    url = f"data:{media_type};base64,{b64(data)}"
    return {"type": "image_url", "image_url": {"url": url, "detail": "high"}}


def ask(client: OpenAI, *messages: Any, **options: Any) -> Any:
    model = options.pop("model", MODEL)
    return client.chat.completions.create(model=model, messages=list(messages), **options)


def test_a_question_about_a_picture_is_answered(client):
    answer = ask(
        client, user(text("How large is this?"), picture(ASTRONAUT)), model=ALIAS, max_tokens=99
    )

    (choice,) = answer.choices
    assert "512x512" in choice.message.content
    assert choice.message.role == "assistant"
    assert choice.finish_reason == "stop"
    assert answer.object == "chat.completion"
    usage = answer.usage
    assert usage.prompt_tokens > 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert answer.warnings == []


def test_a_streamed_answer_has_the_same_words_and_its_usage_last(client, service):
    question = user(text("How large is this?"), picture(ASTRONAUT))
    whole = ask(client, question, model=service.model_id)

    stream = ask(
        client,
        question,
        model=service.model_id,
        stream=True,
        stream_options={"include_usage": True},
    )
    *chunks, last = list(stream)

    assert "".join(c.choices[0].delta.content or "" for c in chunks) == (
        whole.choices[0].message.content
    )
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert len({c.id for c in (*chunks, last)}) == 1
    assert (last.choices, last.usage) == ([], whole.usage)
    assert all(c.usage is None for c in chunks)


async def test_the_asynchronous_client_asks_and_streams(service):
    async with AsyncOpenAI(base_url=f"{service.url}/v1", api_key="key") as client:
        asked: Any = {"model": ALIAS, "messages": [user("Why?")]}
        whole = await client.chat.completions.create(**asked)
        stream: Any = await client.chat.completions.create(**asked, stream=True)
        pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]

    assert len(pieces) > 3
    assert "".join(pieces) == whole.choices[0].message.content


def test_a_plain_answer_and_the_end_of_a_stream_report_their_cost(fake):
    asked: Any = {"model": MODEL, "messages": [user("one two")]}
    whole = fake.chat.completions.create(**asked)
    *chunks, last = fake.chat.completions.create(**asked, stream=True)

    cost = whole.cost_usd
    assert cost["total"] == pytest.approx(whole.usage.total_tokens * 0.16 / 1e6)
    assert cost["total"] == pytest.approx(cost["input"] + cost["output"])
    assert last.choices[0].finish_reason == "stop"
    assert last.cost_usd == cost
    assert not [chunk for chunk in chunks if "cost_usd" in chunk.model_extra]


def test_a_cost_that_is_unknown_is_null(client):
    # Provisioned models have no price per token.
    whole = ask(client, user("Why?"), model=ALIAS)
    *_, last = ask(client, user("Why?"), model=ALIAS, stream=True)

    assert whole.model_extra["cost_usd"] is None
    assert last.model_extra["cost_usd"] is None


def test_a_stream_ends_with_done_and_has_usage_only_on_request(service):
    with httpx.stream(
        "POST",
        f"{service.url}/v1/chat/completions",
        json={"model": ALIAS, "messages": [user("Why?")], "stream": True},
    ) as answer:
        lines = [line for line in answer.iter_lines() if line]

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert lines[-1] == "data: [DONE]"
    assert all("usage" not in json.loads(line.removeprefix("data: ")) for line in lines[:-1])


def test_a_conversation_reaches_the_model_turn_by_turn(fake, model):
    ask(
        fake,
        {"role": "system", "content": "Be brief."},
        user("One"),
        {"role": "assistant", "content": "Two", "refusal": None, "tool_calls": []},
        user("Three"),
        user(text("Four"), text("Five")),
        temperature=0.1,
        top_p=0.2,
        max_tokens=7,
        max_completion_tokens=8,
    )

    (request,) = model.requests
    assert request.system == "Be brief."
    assert [(turn.role, turn.text) for turn in request.turns] == [
        ("user", "One"),
        ("assistant", "Two"),
        ("user", "Three\n\nFour\nFive"),
    ]
    sampling = request.sampling
    assert (sampling.temperature, sampling.top_p, sampling.max_gen_len) == (0.1, 0.2, 8)


def test_only_the_newest_pictures_of_several_messages_are_sent_with_a_warning(fake, model):
    raw = fake.chat.completions.with_raw_response.create(
        model=MODEL,
        messages=[
            user(picture(ROCKET, "image/jpeg")),
            {"role": "assistant", "content": "A rocket."},
            user(text("And this?"), picture(ASTRONAUT)),
        ],
    )

    (request,) = model.requests
    assert [len(turn.images) for turn in request.turns] == [0, 0, 1]
    assert request.turns[0].text == "[an earlier image]"
    assert request.turns[2].images[0].width == 512
    assert "earlier_images_left_out" in raw.headers["x-warnings"]
    assert "earlier_images_left_out" in [warning["code"] for warning in raw.parse().warnings]


def test_an_earlier_messages_picture_is_sent_if_the_last_message_has_none(fake, model):
    ask(fake, user(picture(ASTRONAUT)), {"role": "assistant", "content": "A."}, user("Sure?"))

    (request,) = model.requests
    assert [len(turn.images) for turn in request.turns] == [1, 0, 0]


def test_several_pictures_in_one_message_are_refused_or_laid_out_on_a_contact_sheet(fake, model):
    message = user(text("Compare"), picture(ASTRONAUT), picture(ASTRONAUT))
    with pytest.raises(openai.BadRequestError, match="image_strategy") as refused:
        ask(fake, message)
    answer = ask(fake, message, extra_body={"image_strategy": "contact_sheet"})

    assert refused.value.param == "messages.0.content.2.image_url.url"
    # The advice names only what this dialect accepts.
    assert "each" not in str(refused.value)
    assert len(model.requests[0].turns[0].images) == 1
    assert "contact" in str(answer.warnings)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"logprobs": True}, "logprobs"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"n": 2}, "n"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"logit_bias": {"1": 5}}, "logit_bias"),
        ({"temperature": 1.5}, "temperature"),
        ({"max_tokens": 2049}, "max_tokens"),
        ({"extra_body": {"top_k": 5}}, "top_k"),
    ],
)
def test_parameters_that_would_change_the_answer_are_refused_by_name(fake, model, options, named):
    with pytest.raises(openai.BadRequestError) as refused:
        ask(fake, user("Why?"), **options)

    assert refused.value.param == named
    assert refused.value.type == "invalid_request_error"
    assert model.requests == []


TEXT = "messages.0.content"


@pytest.mark.parametrize(
    ("message", "param", "code"),
    [
        (user({"type": "text"}), f"{TEXT}.0.text", "invalid_parameter"),
        (
            user({"type": "image_url", "image_url": "https://x"}),
            f"{TEXT}.0.image_url",
            "invalid_parameter",
        ),
        (user({"type": "image_url"}), f"{TEXT}.0.image_url", "invalid_parameter"),
        (
            user({"type": "image_url", "image_url": {}}),
            f"{TEXT}.0.image_url.url",
            "invalid_parameter",
        ),
        (user({"type": "input_audio"}), f"{TEXT}.0", "invalid_parameter"),
        ({"role": "user", "content": 5}, TEXT, "invalid_parameter"),
        ({"role": "user", "content": None}, TEXT, "invalid_parameter"),
        ({"role": "user"}, TEXT, "invalid_parameter"),
        (user("a") | {"user": {}}, "messages.0.user", "unknown_field"),
        ({"role": "system", "content": [5]}, f"{TEXT}.0", "invalid_parameter"),
        ({"role": "assistant", "content": 5}, TEXT, "invalid_parameter"),
        ({"role": "tool", "content": "a"}, "messages.0", "invalid_parameter"),
    ],
)
def test_the_param_of_an_error_is_a_path_in_the_body(fake, message, param, code):
    with pytest.raises(openai.BadRequestError) as refused:
        ask(fake, message)

    assert (refused.value.param, refused.value.code) == (param, code)
    assert "Chat" not in str(refused.value)


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"stop": [""]}, "stop.0"),
        ({"stop": ""}, "stop"),
        ({"stop": 5}, "stop"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "a"}}},
            "response_format.json_schema.schema",
        ),
    ],
)
def test_the_param_of_an_error_is_named_once(fake, options, param):
    with pytest.raises(openai.BadRequestError) as refused:
        ask(fake, user("Why?"), **options)

    assert refused.value.param == param
    assert str(refused.value).count(f"{param}:") == 1


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"type": "input_audio"}, "type 'input_audio' is not one of 'text', 'image_url', 'file'"),
        ({"text": "Why?"}, "type is missing"),
        ({"type": None, "text": "Why?"}, "type is missing"),
    ],
)
def test_a_content_part_of_an_unknown_type_is_refused_naming_the_known_types(fake, part, words):
    with pytest.raises(openai.BadRequestError, match=f"{TEXT}.0: {words}"):
        ask(fake, user(part))


def test_base64_that_is_no_data_uri_is_not_taken_for_an_address(fake, model):
    bare = {"type": "image_url", "image_url": {"url": b64(ASTRONAUT)}}
    with pytest.raises(openai.BadRequestError, match=r"image_url\.url: is neither .* data:image/p"):
        ask(fake, user(text("Why?"), bare))

    assert model.requests == []


def test_an_empty_conversation_is_refused_without_words_of_the_validation_library(fake):
    with pytest.raises(openai.BadRequestError, match="at least 1 item") as refused:
        ask(fake)

    assert "validation" not in str(refused.value)


@pytest.mark.parametrize("role", ["system", "user"])
def test_extra_members_that_frameworks_add_to_messages_are_ignored_and_listed(fake, model, role):
    said = {"role": role, "content": "Why?", "tool_calls": None, "function_call": None}
    framed = said | {"id": "m", "cache_control": {"type": "ephemeral"}}
    raw = fake.chat.completions.with_raw_response.create(
        model=MODEL, messages=[framed, user("And why?")]
    )

    assert raw.headers["x-ignored-parameters"] == "messages.0.id, messages.0.cache_control"
    assert len(model.requests) == 1


def test_members_of_messages_that_would_change_the_answer_are_refused(fake, model):
    with pytest.raises(openai.BadRequestError) as tools:
        ask(fake, user("Why?") | {"tool_calls": [{"id": "a"}]})
    with pytest.raises(openai.BadRequestError) as pictures:
        ask(fake, user("Why?") | {"images": ["AAAA"]})

    assert tools.value.param == "messages.0.tool_calls"
    assert "takes no tools" in str(tools.value)
    assert pictures.value.param == "messages.0.images"
    assert model.requests == []


def test_a_prompt_that_is_too_long_is_refused_in_the_dialects_own_terms(fake):
    with pytest.raises(openai.BadRequestError) as chat:
        ask(fake, user("a" * 1_000_001))
    with pytest.raises(openai.BadRequestError) as responses:
        fake.responses.create(model=MODEL, input="a" * 1_000_001)

    assert (chat.value.param, responses.value.param) == ("messages", "input")
    # langchain, strands and LiteLLM recognise by this that a shorter conversation would fit.
    assert chat.value.code == responses.value.code == "context_length_exceeded"
    assert "prompt" not in str(chat.value)


def test_parameters_without_effect_are_accepted_and_listed(fake):
    raw = fake.chat.completions.with_raw_response.create(
        model=MODEL,
        messages=[user("Why?")],
        seed=7,
        presence_penalty=0,
        tool_choice="none",
        user="someone",
        n=1,
    )

    listed = set(raw.headers["x-ignored-parameters"].split(", "))
    assert listed == {"seed", "presence_penalty", "tool_choice"}


def test_unused_members_of_parts_and_turns_are_ignored_and_listed(fake, model):
    shown = picture(ASTRONAUT)
    shown["image_url"] |= {"format": "image/png", "detail": "original"}
    said: dict[str, Any] = {"role": "assistant", "content": "A.", "refusal": "No.", "audio": None}
    said |= {"thinking_blocks": [], "provider_specific_fields": {"a": 1}}
    refused = {"role": "assistant", "content": [{"type": "refusal", "refusal": "I won't."}]}
    cached = text("Why?") | {"cache_control": {"type": "ephemeral"}, "bad name\r\nX: y": 1}
    raw = fake.chat.completions.with_raw_response.create(
        model=MODEL, messages=[user(shown), said, user("b"), refused, user(cached)]
    )

    assert set(raw.headers["x-ignored-parameters"].split(", ")) == {
        "messages.0.content.0.image_url.format",
        "messages.1.refusal",
        "messages.1.thinking_blocks",
        "messages.1.provider_specific_fields",
        "messages.4.content.0.cache_control",
    }
    assert model.requests[0].turns[3].text == "I won't."


def test_members_of_a_format_that_are_null_count_as_left_out(fake, model):
    raw = fake.chat.completions.with_raw_response.create(
        model=MODEL,
        messages=[user("Why?")],
        response_format={"type": "text", "json_schema": None},
    )

    assert raw.parse().choices[0].message.content
    with pytest.raises(openai.BadRequestError, match="json_schema: there is no"):
        ask(fake, user("Why?"), response_format={"type": "json_object", "json_schema": {}})
    assert len(model.requests) == 1


def test_the_list_of_ignored_members_is_bounded(fake):
    many = text("Why?") | {f"member_{number}": 1 for number in range(1_000)}
    raw = fake.chat.completions.with_raw_response.create(model=MODEL, messages=[user(many)])

    assert len(raw.headers["x-ignored-parameters"].split(", ")) == 50


def test_tools_with_tool_choice_none_are_ignored_and_listed(fake):
    raw = fake.chat.completions.with_raw_response.create(
        model=MODEL,
        messages=[user("Why?")],
        tools=[{"type": "function", "function": {"name": "f"}}],
        tool_choice="none",
    )

    assert set(raw.headers["x-ignored-parameters"].split(", ")) == {"tools", "tool_choice"}


def test_a_forced_tool_is_not_refused_for_a_lack_of_tools(fake):
    # As pydantic-ai and LlamaIndex send it: the choice before the tools, or alone.
    tools = [{"type": "function", "function": {"name": "f"}}]
    for more in ({"tool_choice": "required", "tools": tools}, {"tool_choice": "required"}):
        with pytest.raises(openai.BadRequestError) as refused:
            ask(fake, user("Why?"), **more)

        assert "tool_choice: the model takes no tools with pictures" in str(refused.value)


def test_a_forced_tool_is_refused_pointing_to_structured_output(fake):
    with pytest.raises(openai.BadRequestError, match="a json_schema in response_format"):
        ask(
            fake,
            user("Why?"),
            tools=[{"type": "function", "function": {"name": "f"}}],
            tool_choice={"type": "function", "function": {"name": "f"}},
        )


@pytest.mark.parametrize("role", ["tool", "function"])
def test_a_tool_result_is_refused_with_what_to_do_instead(fake, role):
    with pytest.raises(openai.BadRequestError, match="message of the user") as refused:
        ask(fake, user("Why?"), {"role": role, "content": "5", "tool_call_id": "c"})

    assert refused.value.param == "messages.1"


def test_a_conversation_that_ends_with_the_assistant_is_refused(fake):
    with pytest.raises(openai.BadRequestError, match="first and the last"):
        ask(fake, user("Why?"), {"role": "assistant", "content": "Because"})


def test_a_conversation_that_ends_with_an_empty_message_is_refused(fake, model):
    with pytest.raises(openai.BadRequestError, match=r"messages: the last turn") as refused:
        ask(fake, user(" "))

    assert (refused.value.code, refused.value.param) == ("prompt_missing", "messages")
    assert model.requests == []


def test_an_answer_ends_before_a_stop_sequence(fake):
    answer = ask(fake, user("one two three four"), stop=["zero", "three"])

    (choice,) = answer.choices
    assert choice.message.content == "[fake 0 image(s)] one two "
    assert (choice.finish_reason, choice.stop_reason) == ("stop", "three")


def test_a_stream_ends_before_a_stop_sequence_split_over_chunks(fake):
    chunks = list(ask(fake, user("one two three four"), stop="two thr", stream=True))

    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert said == "[fake 0 image(s)] one "
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_a_stop_sequence_in_a_stream_ends_the_upstream_call(emulator_url):
    with running(emulator_url, "token-40ms") as service, client_of(service.url) as client:
        list(ask(client, user("Why?"), model=service.model_id, stop=" ", stream=True))

        assert service.outcome() == "client_left"


def test_an_answer_cut_at_max_tokens_has_finish_reason_length(fake):
    answer = ask(fake, user("one two three"), max_tokens=2)

    assert answer.choices[0].finish_reason == "length"


class Portrait(BaseModel):
    """A schema whose fields are all required."""

    subject: str
    width: int
    kind: Literal["photo", "drawing"]
    note: str | None = None


def test_a_structured_answer_is_parsed_by_the_sdk(client):
    answer = client.chat.completions.parse(
        model=ALIAS,
        messages=[user(text("Describe it"), picture(ASTRONAUT))],
        response_format=Portrait,
    )

    (choice,) = answer.choices
    assert choice.message.refusal is None
    assert isinstance(choice.message.parsed, Portrait)
    assert choice.message.parsed.kind in ("photo", "drawing")
    # With everything that the SDK adds.
    said: Any = choice.message.model_dump(warnings=False)
    messages: Any = [user("Describe it"), said, user("Are you sure?")]
    assert client.chat.completions.create(model=ALIAS, messages=messages).choices


@pytest.fixture
def imported(emulator_url: str) -> Iterator[OpenAI]:
    """A client of a service whose model is an imported one."""
    with (
        running(emulator_url, dialect=Dialect.CHAT, model_aliases=(ALIAS,)) as service,
        client_of(service.url) as client,
    ):
        yield client


def test_an_imported_models_structured_answer_is_parsed_by_the_sdk(imported):
    answer = imported.chat.completions.parse(
        model=ALIAS,
        messages=[user(text("Describe it"), picture(ASTRONAUT))],
        response_format=Portrait,
        logprobs=True,
    )

    (choice,) = answer.choices
    assert isinstance(choice.message.parsed, Portrait)
    assert spelt(choice.logprobs.content) == choice.generation
    assert answer.warnings == []


def spelt(tokens: Any) -> str:
    return b"".join(bytes(token.bytes) for token in tokens).decode()


@pytest.mark.parametrize("stop", [None, "came"])
def test_log_probabilities_are_those_of_the_answers_tokens_streamed_or_not(imported, stop):
    options: dict[str, Any] = {"logprobs": True, "top_logprobs": 2, "model": ALIAS, "stop": stop}
    (whole,) = ask(imported, user("Why? Ä"), **options).choices
    chunks = [chunk.choices[0] for chunk in ask(imported, user("Why? Ä"), stream=True, **options)]
    streamed = [token for c in chunks if c.logprobs for token in c.logprobs.content]

    said = whole.message.content
    assert (whole.stop_reason == stop) is (stop is not None)
    # A token may contain the end of the text and the start of the stop sequence.
    assert spelt(whole.logprobs.content).startswith(said)
    assert len(spelt(whole.logprobs.content[:-1])) < len(said)
    assert [(t.token, t.logprob) for t in streamed] == [
        (t.token, t.logprob) for t in whole.logprobs.content
    ]
    assert all(t.logprob <= 0 and len(t.top_logprobs) == 2 for t in streamed)


def test_log_probabilities_come_only_on_request_and_top_logprobs_requires_them(imported):
    (choice,) = ask(imported, user("Why?"), model=ALIAS).choices
    with pytest.raises(openai.BadRequestError) as refused:
        ask(imported, user("Why?"), model=ALIAS, top_logprobs=2)

    assert choice.logprobs is None
    assert refused.value.param == "top_logprobs"


def test_a_json_object_is_returned_as_json_streamed_or_not(client):
    options: dict[str, Any] = {"response_format": {"type": "json_object"}}
    whole = ask(client, user("Answer as JSON"), model=ALIAS, **options)
    chunks = list(ask(client, user("Answer as JSON"), model=ALIAS, stream=True, **options))

    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert isinstance(json.loads(whole.choices[0].message.content), dict)
    assert isinstance(json.loads(streamed), dict)


@pytest.mark.parametrize(
    ("written", "number"), [("9" * 30, int("9" * 30)), ('"\\ud83d"', "?"), ("1e999", None)]
)
def test_an_answer_with_values_that_json_cannot_represent_is_not_lost(written, number):
    model = ScriptedVisionModel(answers=[f'{{"number": {written}}}'])
    with serving(Rig(model).app()) as url, client_of(url, max_retries=0) as client:
        answer = ask(client, user("How many?"), response_format={"type": "json_object"})

    assert json.loads(answer.choices[0].message.content) == {"number": number}


@pytest.mark.parametrize(
    ("path", "body", "created"),
    [
        ("chat/completions", {"messages": [{"role": "user", "content": "?"}]}, "created"),
        ("responses", {"input": "?"}, "created_at"),
    ],
)
def test_a_repeated_answer_keeps_its_creation_time(path, body, created):
    with serving(Rig(FakeVisionModel()).app()) as url:

        def ask() -> Any:
            headers = {"Idempotency-Key": "one"}
            return httpx.post(f"{url}/v1/{path}", json={"model": MODEL, **body}, headers=headers)

        first = ask()
        while int(time.time()) == first.json()[created]:
            time.sleep(0.05)
        assert ask().text == first.text


class Babbling(FakeVisionModel):
    """Never answers in JSON."""

    async def generate(self, request: Any) -> Completion:
        self.requests.append(request)
        return Completion("No.", Usage(10, 1), StopReason.STOP, "stop")


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "one"}], ids=["no key", "key"])
def test_an_answer_that_misses_the_schema_is_asked_for_again_and_returned_as_a_refusal(headers):
    model = Babbling()
    messages: Any = [user("Describe it")]
    with serving(Rig(model).app()) as url, client_of(url) as client:
        answer = client.chat.completions.parse(
            model=MODEL,
            messages=messages,
            response_format=Portrait,
            extra_headers=headers,
        )

    (choice,) = answer.choices
    assert choice.message.parsed is None
    assert "no JSON object" in str(choice.message.refusal)
    assert choice.message.content == "No."
    assert len(model.requests) == 2
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 20


def test_a_streamed_answer_that_misses_the_schema_can_be_read_by_the_sdks_helper():
    messages: Any = [user("Describe it")]
    with serving(Rig(Babbling()).app()) as url, client_of(url) as client:
        asked = client.chat.completions.stream(
            model=MODEL, messages=messages, response_format=Portrait
        )
        with asked as events:
            answer = events.get_final_completion()

    (choice,) = answer.choices
    assert choice.message.parsed is None
    assert "no JSON object" in str(choice.message.refusal)
    assert choice.message.content == "No."


@pytest.mark.parametrize("part", [{"$ref": "https://example.com/a"}, {"maximum": 2**64}])
def test_an_unusable_schema_is_refused_before_the_model_is_called(fake, model, part):
    schema = {"type": "object", "properties": {"a": part}}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    with pytest.raises(openai.BadRequestError) as refused:
        ask(fake, user("Why?"), response_format=form)

    assert refused.value.param == "response_format.json_schema.schema"
    assert model.requests == []


FAULTS = {
    "throttle": (openai.RateLimitError, 429, "rate_limit_error"),
    "validation": (openai.BadRequestError, 400, "invalid_request_error"),
    "unavailable": (openai.InternalServerError, 503, "api_error"),
    "retired": (openai.InternalServerError, 502, "api_error"),
    "timeout": (openai.InternalServerError, 504, "api_error"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("stream", [False, True])
def test_an_upstream_failure_is_the_sdks_own_exception(emulator_url, fault, stream):
    cls, status, kind = FAULTS[fault]
    with (
        running(emulator_url, fault) as service,
        client_of(service.url, max_retries=0) as client,
        pytest.raises(cls) as raised,
    ):
        ask(client, user("Why?"), model=service.model_id, stream=stream)

    error: Any = raised.value
    assert (error.status_code, error.type) == (status, kind)
    assert error.response.headers["x-should-retry"] in ("true", "false")
    assert error.body["request_id"] == error.response.headers["x-request-id"]


def test_the_sdk_does_not_retry_errors_that_would_recur(emulator_url):
    with (
        running(emulator_url, "retired") as service,
        client_of(service.url, max_retries=2) as client,
    ):
        with pytest.raises(openai.InternalServerError):
            ask(client, user("Why?"), model=service.model_id)

        assert len(service.seen()) == 1


@pytest.mark.parametrize("fault", ["timeout", "drop-after-2", "stall"])
@pytest.mark.parametrize("stream", [False, True])
def test_the_sdk_does_not_retry_a_call_that_may_have_been_billed(emulator_url, fault, stream):
    with (
        running(emulator_url, fault, request_timeout=3) as service,
        client_of(service.url, max_retries=2) as client,
    ):
        with pytest.raises(openai.APIError):
            list(ask(client, user("Why?"), model=service.model_id, stream=stream))

        assert len(service.seen()) == 1


def test_the_sdk_retries_a_call_that_was_refused_unbilled(emulator_url):
    with (
        running(emulator_url, "model-error-first-2") as service,
        client_of(service.url, max_retries=1) as client,
    ):
        assert ask(client, user("Why?"), model=service.model_id).choices
        assert len(service.seen()) == 3


def test_a_failure_within_a_stream_is_an_error_without_done(emulator_url):
    with (
        running(emulator_url, "frame-throttle-after-3") as service,
        client_of(service.url) as client,
    ):
        pieces: list[str] = []
        with pytest.raises(openai.APIError) as raised:
            pieces.extend(
                chunk.choices[0].delta.content
                for chunk in ask(client, user("Why?"), model=service.model_id, stream=True)
            )
        body = {"model": service.model_id, "messages": [user("Why?")], "stream": True}
        raw = service.http.post("/v1/chat/completions", json=body).text

    assert raised.value.code == "model_throttled"
    assert "[DONE]" not in raw


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "malformed_json"),
        (b'{"model": "x"}', 400, "invalid_parameter"),
        (b"x" * 2_000, 413, "body_too_large"),
    ],
)
def test_refusals_before_routing_have_openais_format_too(body, status, code):
    rig = Rig(settings=Settings(_env_file=None, max_body_bytes=1_000))
    with rig.client() as http:
        answer = http.post(
            "/v1/chat/completions", content=body, headers={"Content-Type": "application/json"}
        )
        nowhere = http.post("/v1/chat/nowhere").json()

    assert answer.status_code == status
    error = answer.json()["error"]
    assert error["code"] == code
    assert error["request_id"] == answer.headers["x-request-id"]
    assert nowhere["error"]["code"] == "not_found"


def test_an_unknown_model_is_not_found_and_the_available_ones_are_listed(client, service):
    with pytest.raises(openai.NotFoundError, match=ALIAS) as refused:
        ask(client, user("Why?"), model="gpt-5")

    assert refused.value.code == "unknown_model"
    assert service.seen() == []


def test_models_are_listed(client, service):
    (model,) = client.models.list().data

    assert model.id == service.model_id
    assert model.object == "model"
    assert ALIAS in model.model_extra["aliases"]


def test_a_model_is_returned_by_its_id_and_by_its_aliases(client, service):
    assert client.models.retrieve(service.model_id).id == service.model_id
    assert client.models.retrieve(ALIAS).id == service.model_id
    with pytest.raises(openai.NotFoundError, match=ALIAS) as refused:
        client.models.retrieve("gpt-5")

    assert refused.value.code == "unknown_model"


def test_an_unknown_path_is_an_error_in_openais_format(fake):
    with pytest.raises(openai.NotFoundError, match="/v1/chat/completions") as refused:
        fake.embeddings.create(model=MODEL, input="a")
    with pytest.raises(openai.NotFoundError) as images:
        fake.images.generate(model=MODEL, prompt="a cat")

    for error in (refused.value, images.value):
        assert (error.code, error.type) == ("not_found", "not_found_error")


@pytest.mark.parametrize(
    ("suffix", "said"),
    [("", "has to end in /v1"), ("/v1/v1", "one /v1"), ("/openai", "address and /v1")],
)
def test_a_wrong_base_url_is_explained(fake, suffix, said):
    root = str(fake.base_url).removesuffix("/v1/")
    for ask_it in (
        lambda it: ask(it, user("Why?")),
        lambda it: it.responses.create(model=MODEL, input="Why?"),
        lambda it: it.models.list(),
        lambda it: it.models.retrieve(MODEL),
    ):
        with (
            OpenAI(base_url=f"{root}{suffix}", api_key="key", max_retries=0) as wrong,
            pytest.raises(openai.NotFoundError, match=said),
        ):
            ask_it(wrong)


def test_a_data_uri_that_is_not_a_picture_is_refused_by_its_path(fake):
    url = "data:image/png;base64," + base64.b64encode(b"no picture").decode()
    part = {"type": "image_url", "image_url": {"url": url}}
    with pytest.raises(openai.BadRequestError) as refused:
        ask(fake, user(part))

    assert refused.value.code == "not_an_image"


def test_the_services_keys_work_as_the_sdks_api_keys(tmp_path):
    keys = tmp_path / "keys.json"
    good, narrow = add_key(keys, Scope.GENERATE), add_key(keys, Scope.METRICS)
    with serving(guarded(keys).app()) as url:

        def asked(key: str) -> Any:
            with OpenAI(base_url=f"{url}/v1", api_key=key) as client:
                return ask(client, user("Why?"))

        assert asked(good).choices
        with pytest.raises(openai.AuthenticationError) as refused:
            asked("wrong")
        with pytest.raises(openai.PermissionDeniedError):
            asked(narrow)
        for base in (f"{url}/v1", url):
            with (
                OpenAI(base_url=base, api_key="wrong") as client,
                pytest.raises(openai.AuthenticationError) as unlisted,
            ):
                client.models.list()
            assert unlisted.value.code == "credentials_invalid"

    assert refused.value.type == "authentication_error"
    assert refused.value.code == "credentials_invalid"


def test_a_stream_ended_by_a_stop_sequence_is_recorded_as_completed_with_its_tokens(emulator_url):
    records: list[Any] = []
    # In the native body each chunk has token counts; in the chat body only the last one does.
    settings = Settings(
        _env_file=None, endpoint_url=emulator_url, model_id=model_arn(), dialect="invoke"
    )
    rig = Rig(model=None, settings=settings, more={"sinks": (records.append,)})
    with serving(rig.app()) as url, client_of(url) as client:
        list(ask(client, user("Why?"), model=settings.model_id, stop=" ", stream=True))

    (record,) = records
    assert (record.stream, record.stop_reason) == ("completed", "stop")
    assert record.prompt_tokens > 0
    assert record.generation_tokens > 0
