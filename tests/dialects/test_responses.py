"""The Responses API of the official openai package against the service: docs/openai.md."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from app.domain.generation import Completion, StopReason
from app.domain.usage import Usage
from tests.support.fakes.ports import FakeVisionModel
from tests.support.files.pictures import ASTRONAUT, b64
from tests.support.model.dialects import ALIAS
from tests.support.model.scripted import ScriptedVisionModel
from tests.support.servers.uvicorn import serving
from tests.support.service.application import Rig
from tests.support.service.emulated import Service, running

MODEL = "us.meta.llama3-2-11b-instruct-v1:0"
PICTURE = {
    "type": "input_image",
    "image_url": f"data:image/png;base64,{b64(ASTRONAUT)}",
    "detail": "original",
}


def text(words: str) -> dict[str, Any]:
    return {"type": "input_text", "text": words}


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content[0] if isinstance(content[0], str) else content}


@pytest.fixture
def client(service: Service) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{service.url}/v1", api_key="key") as client:
        yield client


@pytest.fixture
def model() -> FakeVisionModel:
    return FakeVisionModel()


@pytest.fixture
def fake(model: FakeVisionModel) -> Iterator[OpenAI]:
    """A client of a service whose model repeats its prompt."""
    with (
        serving(Rig(model).app()) as url,
        OpenAI(base_url=f"{url}/v1", api_key="key", max_retries=0) as client,
    ):
        yield client


def ask(client: OpenAI, said: Any, **options: Any) -> Any:
    return client.responses.create(model=options.pop("model", MODEL), input=said, **options)


def test_a_question_about_a_picture_is_answered(client):
    answer = ask(client, [user(text("How large is this?"), PICTURE)], model=ALIAS)

    assert "512x512" in answer.output_text
    assert (answer.object, answer.status, answer.store) == ("response", "completed", False)
    assert [item.type for item in answer.output] == ["message"]
    assert answer.usage.input_tokens > 0
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    assert answer.error is None


def test_a_streamed_answer_has_the_sdks_events_and_the_words_of_a_plain_one(client):
    asked: Any = {"model": ALIAS, "input": [user(text("How large is this?"), PICTURE)]}
    whole = client.responses.create(**asked)
    events: Any = list(client.responses.create(**asked, stream=True))

    kinds = list(dict.fromkeys(event.type for event in events))
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    deltas = [e.delta for e in events if e.type == "response.output_text.delta"]
    assert len(deltas) > 3
    assert "".join(deltas) == events[-1].response.output_text == whole.output_text
    assert events[-1].response.usage == whole.usage
    assert events[0].response.id == events[-1].response.id


def test_the_sdks_stream_helper_returns_the_final_response(client):
    with client.responses.stream(model=ALIAS, input="Why?") as stream:
        deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()

    assert final.output_text == "".join(deltas)
    assert final.usage is not None


async def test_the_asynchronous_client_asks_and_streams(service):
    async with AsyncOpenAI(base_url=f"{service.url}/v1", api_key="key") as client:
        whole = await client.responses.create(model=ALIAS, input="Why?")
        stream: Any = await client.responses.create(model=ALIAS, input="Why?", stream=True)
        deltas = [e.delta async for e in stream if e.type == "response.output_text.delta"]

    assert "".join(deltas) == whole.output_text


def test_a_conversation_reaches_the_model_turn_by_turn(fake, model):
    first = ask(fake, "One")
    ask(
        fake,
        [
            {"type": "message", **user("One")},
            # An earlier answer, as SDKs send it back.
            first.output[0].model_dump(),
            {"role": "developer", "content": [text("Be kind.")]},
            user("Three"),
            user(text("Four"), text("Five")),
        ],
        instructions="Be brief.",
        temperature=0.1,
        top_p=0.2,
        max_output_tokens=8,
    )

    request = model.requests[-1]
    assert request.system == "Be brief.\n\nBe kind."
    assert [(turn.role, turn.text) for turn in request.turns] == [
        ("user", "One"),
        ("assistant", first.output_text),
        ("user", "Three\n\nFour\nFive"),
    ]
    sampling = request.sampling
    assert (sampling.temperature, sampling.top_p, sampling.max_gen_len) == (0.1, 0.2, 8)


@pytest.mark.parametrize(
    ("options", "param", "said"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id", "nothing is stored"),
        ({"conversation": "conv_1"}, "conversation", "nothing is stored"),
        ({"background": True}, "background", "nothing is stored"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt", "instructions"),
        ({"tools": [{"type": "web_search"}]}, "tools", "a json_schema in text.format"),
        ({"tools": [{"type": "web_search"}], "tool_choice": "auto"}, "tools", "tools"),
        ({"reasoning": {"effort": "high"}}, "reasoning.effort", "not supported"),
        ({"text": {"verbosity": "low"}}, "text.verbosity", "not supported"),
        ({"top_logprobs": 2}, "top_logprobs", "not supported"),
        ({"include": ["message.output_text.logprobs"]}, "include", "logprobs"),
        ({"temperature": 1.5}, "temperature", "less than or equal to 1"),
        ({"max_output_tokens": 2049}, "max_output_tokens", "2048"),
        ({"extra_body": {"top_k": 5}}, "top_k", "no such parameter"),
    ],
)
def test_parameters_that_would_change_the_answer_are_refused_by_name(
    fake, model, options, param, said
):
    with pytest.raises(openai.BadRequestError, match=said) as refused:
        ask(fake, "Why?", **options)

    assert refused.value.param == param
    assert refused.value.type == "invalid_request_error"
    assert model.requests == []


@pytest.mark.parametrize(
    ("item", "param", "said"),
    [
        ({"type": "item_reference", "id": "msg_1"}, "input.0", "nothing is stored"),
        ({"type": "function_call", "name": "f"}, "input.0", "no tools"),
        ({"type": "reasoning", "summary": []}, "input.0", "reason"),
        (user({"type": "input_file", "file_id": "f"}), "input.0.content.0", "input_image"),
        (
            user({"type": "input_image", "file_id": "file-1"}),
            "input.0.content.0.file_id",
            "there is no file",
        ),
        (user({"type": "input_image"}), "input.0.content.0.image_url", "data URI"),
        ({"role": "tool", "content": "a"}, "input.0", "role"),
        ({"role": "user"}, "input.0.content", "required"),
        ({"role": "user", "content": 5}, "input.0.content", "text or a list"),
        (user("a") | {"usr": 1}, "input.0.usr", "no such"),
        (user(" "), "input", "neither text nor an image"),
    ],
)
def test_the_param_of_an_error_is_a_path_in_the_body(fake, model, item, param, said):
    with pytest.raises(openai.BadRequestError, match=said) as refused:
        ask(fake, [item])

    assert refused.value.param == param
    assert "Responses" not in str(refused.value)
    assert model.requests == []


def test_parameters_without_effect_are_accepted_and_listed(fake):
    raw = fake.responses.with_raw_response.create(
        model=MODEL,
        input=[user({**text("Why?"), "prompt_cache_breakpoint": {"mode": "explicit"}})],
        store=True,
        tools=[{"type": "web_search"}],
        tool_choice="none",
        include=["reasoning.encrypted_content"],
        reasoning={"effort": None, "summary": "auto"},
        truncation="auto",
    )

    assert set(raw.headers["x-ignored-parameters"].split(", ")) == {
        "store",
        "tools",
        "tool_choice",
        "include",
        "reasoning.summary",
        "truncation",
        "input.0.content.0.prompt_cache_breakpoint",
    }


class Portrait(BaseModel):
    subject: str
    width: int
    note: str | None = None


def test_a_structured_answer_is_parsed_by_the_sdk(client):
    answer = client.responses.parse(
        model=ALIAS, input=[user(text("Describe it"), PICTURE)], text_format=Portrait
    )

    assert isinstance(answer.output_parsed, Portrait)


def test_a_structured_answer_in_a_stream_is_parsed_by_the_sdk(client):
    with client.responses.stream(model=ALIAS, input="Describe", text_format=Portrait) as stream:
        final = stream.get_final_response()

    assert isinstance(final.output_parsed, Portrait)


def test_a_json_object_comes_as_json(client):
    answer = ask(client, "As JSON", model=ALIAS, text={"format": {"type": "json_object"}})

    assert isinstance(json.loads(answer.output_text), dict)


class Babbling(FakeVisionModel):
    """Never answers in JSON."""

    async def generate(self, request: Any) -> Completion:
        self.requests.append(request)
        return Completion("No.", Usage(10, 1), StopReason.STOP, "stop")


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_misses_the_schema_is_a_refusal_that_parse_can_read(stream):
    model = Babbling()
    with (
        serving(Rig(model).app()) as url,
        OpenAI(base_url=f"{url}/v1", api_key="key") as client,
    ):
        asked: Any = {"model": MODEL, "input": "Describe it", "text_format": Portrait}
        if stream:
            with client.responses.stream(**asked) as events:
                answer: Any = events.get_final_response()
        else:
            answer = client.responses.parse(**asked)

    (part,) = answer.output[0].content
    assert part.type == "refusal"
    assert "no JSON object" in part.refusal
    assert answer.output_parsed is None
    assert "No." in answer.generation
    assert answer.usage.input_tokens == 20
    assert len(model.requests) == 2


def test_an_unusable_schema_is_refused_before_the_model_is_called(fake, model):
    schema = {"type": "object", "properties": {"a": {"$ref": "https://example.com/a"}}}
    with pytest.raises(openai.BadRequestError) as refused:
        ask(fake, "a", text={"format": {"type": "json_schema", "name": "x", "schema": schema}})

    assert refused.value.param == "text.format.schema"
    assert model.requests == []


def test_a_part_outside_a_message_is_refused_saying_where_it_belongs(fake):
    with pytest.raises(openai.BadRequestError, match="a part stands in a message"):
        ask(fake, [{"type": "input_text", "text": "a"}])


def test_a_response_format_of_chat_completions_is_refused_naming_the_missing_fields(fake):
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    with pytest.raises(openai.BadRequestError) as refused:
        ask(fake, "a", text={"format": form})

    assert refused.value.param == "text.format.name"
    assert "text.format.json_schema: there is no such field" in str(refused.value)
    assert "text.format.schema:" in str(refused.value)


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_cut_at_the_limit_is_incomplete(fake, stream):
    answer = ask(fake, "one two three", max_output_tokens=2, stream=stream)
    if stream:
        last = list(answer)[-1]
        assert last.type == "response.incomplete"
        answer = last.response

    assert answer.status == "incomplete"
    assert answer.incomplete_details.reason == "max_output_tokens"
    assert answer.output[0].status == "incomplete"


def test_an_answer_reports_its_cost_and_its_warnings(fake):
    answer = ask(
        fake,
        [user(PICTURE), {"role": "assistant", "content": "A."}, user(text("This?"), PICTURE)],
    )

    assert answer.cost_usd["total"] > 0
    assert "earlier_images_left_out" in str(answer.warnings)


@pytest.mark.parametrize("stream", [False, True])
def test_an_upstream_failure_is_the_sdks_own_exception(emulator_url, stream):
    with (
        running(emulator_url, "throttle") as service,
        OpenAI(base_url=f"{service.url}/v1", api_key="key", max_retries=0) as client,
        pytest.raises(openai.RateLimitError) as raised,
    ):
        ask(client, "Why?", model=service.model_id, stream=stream)

    assert raised.value.code == "model_throttled"


def test_a_failure_within_a_stream_is_an_error_event_and_the_sdk_raises(emulator_url):
    with (
        running(emulator_url, "frame-throttle-after-3") as service,
        OpenAI(base_url=f"{service.url}/v1", api_key="key") as client,
    ):
        with pytest.raises(openai.APIError) as raised:
            list(ask(client, "Why?", model=service.model_id, stream=True))
        body = {"model": service.model_id, "input": "Why?", "stream": True}
        last = service.http.post("/v1/responses", json=body).text.strip().split("\n\n")[-1]

    assert raised.value.code == "model_throttled"
    name, data = last.split("\n")
    assert name == "event: error"
    told = json.loads(data.removeprefix("data: "))
    assert (told["type"], told["code"]) == ("error", "model_throttled")


def test_unicode_line_separators_do_not_split_events():
    said = "one\u0085two\u2028three\u2029four"
    body = {"model": MODEL, "input": "Why?", "stream": True}
    with Rig(ScriptedVisionModel(answers=[said])).client() as http:
        raw = http.post("/v1/responses", json=body).content.decode()

    lines = [line for line in raw.splitlines() if line]
    assert all(line.startswith(("event: ", "data: ")) for line in lines)
    events = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == said


def test_an_answer_with_a_number_longer_than_64_bits_is_not_lost():
    model = ScriptedVisionModel(answers=['{"number": ' + "9" * 30 + "}"])
    with (
        serving(Rig(model).app()) as url,
        OpenAI(base_url=f"{url}/v1", api_key="key", max_retries=0) as client,
    ):
        answer = ask(client, "How many?", text={"format": {"type": "json_object"}})

    assert json.loads(answer.output_text) == {"number": int("9" * 30)}


def test_a_response_cannot_be_fetched_as_none_is_stored(fake):
    with pytest.raises(openai.NotFoundError, match="POST /v1/responses") as refused:
        fake.responses.retrieve("resp_1")

    assert refused.value.code == "not_found"
