"""boto3 and aioboto3 against the service: docs/aws-sdk.md."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import aioboto3
import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

from app.api.errors import dialects
from app.domain.access import Scope
from app.domain.image import S3Image
from app.domain.model import Dialect
from app.services.generation.image_sources import ImageSources
from app.settings import Settings
from tests.support.fakes.ports import FakeImageSource, FakeVisionModel, plenty
from tests.support.files.pictures import ASTRONAUT, ROCKET, b64
from tests.support.model.dialects import ALIAS, BEDROCK
from tests.support.model.scripted import ScriptedVisionModel
from tests.support.servers.uvicorn import serving
from tests.support.service.access import add_key, guarded
from tests.support.service.application import Rig
from tests.support.service.emulated import Service, running

MODEL = "us.meta.llama3-2-11b-instruct-v1:0"
PICTURED = (
    "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n<|image|>How large is this?"
    "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
)
PRICE = 0.16 / 1e6
ONCE = Config(retries={"total_max_attempts": 1})


@pytest.fixture(autouse=True)
def _bearer(monkeypatch):
    # As in docs/aws-sdk.md: the service's own key instead of AWS's.
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "key")


@contextmanager
def client_of(url: str) -> Iterator[Any]:
    client = boto3.client("bedrock-runtime", endpoint_url=url, region_name="us-west-2", config=ONCE)
    try:
        yield client
    finally:
        client.close()


@pytest.fixture
def client(service: Service) -> Iterator[Any]:
    with client_of(service.url) as client:
        yield client


@pytest.fixture
def model() -> FakeVisionModel:
    return FakeVisionModel()


@pytest.fixture
def fake_url(model: FakeVisionModel) -> Iterator[str]:
    """A service whose model repeats its prompt."""
    with serving(Rig(model).app()) as url:
        yield url


@pytest.fixture
def fake(fake_url: str) -> Iterator[Any]:
    """A client of the service with the fake model."""
    with client_of(fake_url) as client:
        yield client


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": [{"text": c} if isinstance(c, str) else c for c in content]}


def picture(data: bytes, form: str = "png") -> dict[str, Any]:
    return {"image": {"format": form, "source": {"bytes": data}}}


def native(prompt: str = PICTURED, *images: bytes, **more: Any) -> str:
    body = {"prompt": prompt, **more}
    return json.dumps(body | ({"images": [b64(image) for image in images]} if images else {}))


def chunks(reply: Any) -> list[dict[str, Any]]:
    return [json.loads(event["chunk"]["bytes"]) for event in reply["body"]]


def test_converse_answers_a_question_about_a_picture(client, service):
    answer = client.converse(
        # An ARN: its slash and colons are percent-encoded.
        modelId=service.model_id,
        messages=[user("How large is this?", picture(ASTRONAUT))],
        system=[{"text": "Be brief."}],
        inferenceConfig={"maxTokens": 99, "temperature": 0.0, "topP": 0.5},
    )

    message = answer["output"]["message"]
    assert message["role"] == "assistant"
    assert "512x512" in message["content"][0]["text"]
    assert answer["stopReason"] == "end_turn"
    usage = answer["usage"]
    assert usage["totalTokens"] == usage["inputTokens"] + usage["outputTokens"]
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amzn-bedrock-input-token-count"] == str(usage["inputTokens"])
    assert answer["ResponseMetadata"]["RequestId"] == headers["x-request-id"]


@pytest.mark.parametrize("operation", ["converse", "invoke"])
def test_an_answer_reports_its_cost_in_headers(fake, operation):
    if operation == "converse":
        answer = fake.converse(modelId=MODEL, messages=[user("one two")])
    else:
        answer = fake.invoke_model(modelId=MODEL, body=native("one two"))
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    counts = [int(headers[f"x-amzn-bedrock-{side}-token-count"]) for side in ("input", "output")]

    assert min(counts) > 0
    assert float(headers["x-cost-usd-input"]) == pytest.approx(counts[0] * PRICE)
    assert float(headers["x-cost-usd-output"]) == pytest.approx(counts[1] * PRICE)
    assert float(headers["x-cost-usd"]) == pytest.approx(sum(counts) * PRICE)


def test_an_unknown_cost_has_no_header(client, fake):
    # Provisioned models have no price per token.
    unknown = client.converse(modelId=ALIAS, messages=[user("Why?")])
    stream = fake.converse_stream(modelId=MODEL, messages=[user("Why?")])
    stream["stream"].close()

    for answer in (unknown, stream):
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        assert not [name for name in headers if name.startswith("x-cost")]


def test_a_converse_stream_has_bedrocks_events_in_bedrocks_order(client):
    asked = {"modelId": ALIAS, "messages": [user("Why?")]}
    whole = client.converse(**asked)
    events = list(client.converse_stream(**asked)["stream"])

    names = [name for event in events for name in event]
    deltas = names.count("contentBlockDelta")
    assert deltas > 3
    assert names == [
        "messageStart",
        *["contentBlockDelta"] * deltas,
        "contentBlockStop",
        "messageStop",
        "metadata",
    ]
    said = [e["contentBlockDelta"]["delta"]["text"] for e in events if "contentBlockDelta" in e]
    assert "".join(said) == whole["output"]["message"]["content"][0]["text"]
    assert events[-2]["messageStop"] == {"stopReason": "end_turn"}
    assert events[-1]["metadata"]["usage"] == whole["usage"]


def test_invoke_accepts_the_native_body_and_returns_the_native_answer(client, service):
    reply = client.invoke_model(
        modelId=service.model_id,
        body=native(PICTURED, ASTRONAUT, temperature=0, top_p=0.9),
    )

    answer = json.loads(reply["body"].read())
    assert set(answer) == {
        "generation",
        "prompt_token_count",
        "generation_token_count",
        "stop_reason",
    }
    assert "512x512" in answer["generation"]
    assert answer["stop_reason"] == "stop"
    headers = reply["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amzn-bedrock-input-token-count"] == str(answer["prompt_token_count"])
    assert headers["x-amzn-bedrock-output-token-count"] == str(answer["generation_token_count"])
    assert reply["contentType"] == "application/json"


def test_an_invoke_stream_has_the_words_counts_and_metrics_of_a_plain_answer(client):
    asked = {"modelId": ALIAS, "body": native(PICTURED, ASTRONAUT)}
    whole = json.loads(client.invoke_model(**asked)["body"].read())
    reply = client.invoke_model_with_response_stream(**asked)
    *pieces, last = chunks(reply)

    assert reply["contentType"] == "application/json"
    assert "".join(piece["generation"] for piece in pieces) == whole["generation"]
    assert pieces[0]["prompt_token_count"] == whole["prompt_token_count"]
    assert {piece["prompt_token_count"] for piece in pieces[1:]} == {None}
    assert {piece["stop_reason"] for piece in pieces} == {None}
    assert last["stop_reason"] == "stop"
    metrics = last["amazon-bedrock-invocationMetrics"]
    assert metrics["outputTokenCount"] == whole["generation_token_count"]
    assert metrics["firstByteLatency"] <= metrics["invocationLatency"]


async def test_the_asynchronous_client_uses_all_four_operations(service):
    message = [user("Why?")]
    async with aioboto3.Session().client(
        "bedrock-runtime", endpoint_url=service.url, region_name="us-west-2"
    ) as client:
        converse = await client.converse(modelId=ALIAS, messages=message)
        stream = await client.converse_stream(modelId=ALIAS, messages=message)
        events = [event async for event in stream["stream"]]
        invoked = await client.invoke_model(modelId=ALIAS, body=native("Why?"))
        async with invoked["body"] as body:
            answer = json.loads(await body.read())
        reply = await client.invoke_model_with_response_stream(modelId=ALIAS, body=native("Why?"))
        pieces = [json.loads(event["chunk"]["bytes"]) async for event in reply["body"]]

    assert converse["output"]["message"]["content"][0]["text"]
    assert "metadata" in events[-1]
    assert "".join(piece["generation"] for piece in pieces) == answer["generation"] != ""


@pytest.mark.parametrize("dialect", BEDROCK)
def test_a_native_prompt_is_sent_unchanged_and_requires_the_invoke_dialect(emulator_url, dialect):
    with running(emulator_url, "", dialect) as service, client_of(service.url) as client:
        asked = {"modelId": service.model_id, "body": native("Why?")}
        if dialect is Dialect.INVOKE:
            assert json.loads(client.invoke_model(**asked)["body"].read())["generation"]
            return
        with pytest.raises(
            client.exceptions.ValidationException, match=r"^[^_]+prompt: .*invoke d"
        ):
            client.invoke_model(**asked)


def test_unused_members_of_blocks_and_sources_may_be_null(fake_url):
    image = {"format": "png", "source": {"bytes": b64(ASTRONAUT), "s3Location": None}}
    blocks = [{"text": "Why?", "image": None, "document": None}, {"text": None, "image": image}]
    answer = httpx.post(
        f"{fake_url}/model/{MODEL}/converse",
        json={"messages": [{"role": "user", "content": blocks}]},
    )

    assert answer.status_code == 200, answer.text


def test_refusals_contain_no_words_of_the_validation_library(fake_url):
    refused = httpx.post(
        f"{fake_url}/model/{MODEL}/converse",
        json={"messages": [{"role": "user", "content": [{}]}]},
    )

    assert refused.json()["message"] == "messages.0.content.0: give either text or image"


def test_a_declared_format_that_contradicts_the_bytes_is_corrected(fake, model):
    fake.converse(modelId=MODEL, messages=[user(picture(ASTRONAUT, "jpeg"))])

    (request,) = model.requests
    assert request.turns[0].images[0].media_type == "image/png"


def test_only_the_newest_pictures_of_several_messages_are_sent_with_a_warning(fake, model):
    answer = fake.converse(
        modelId=MODEL,
        messages=[
            user(picture(ROCKET, "jpeg")),
            {"role": "assistant", "content": [{"text": "A rocket."}]},
            user("And this?", picture(ASTRONAUT)),
        ],
    )

    (request,) = model.requests
    assert [len(turn.images) for turn in request.turns] == [0, 0, 1]
    warned = answer["ResponseMetadata"]["HTTPHeaders"]["x-warnings"]
    assert "earlier_images_left_out" in warned


def test_stop_sequences_end_answers_and_streams(fake):
    asked = {
        "modelId": MODEL,
        "messages": [user("one two three four")],
        "inferenceConfig": {"stopSequences": ["three"]},
    }
    whole = fake.converse(**asked)
    events = list(fake.converse_stream(**asked)["stream"])

    assert whole["stopReason"] == "stop_sequence"
    assert whole["output"]["message"]["content"][0]["text"].endswith("one two ")
    assert {"messageStop": {"stopReason": "stop_sequence"}} in events


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (
            {"toolConfig": {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {}}}}]}},
            "toolConfig: .* outputConfig.textFormat",
        ),
        (
            {"guardrailConfig": {"guardrailIdentifier": "abc", "guardrailVersion": "1"}},
            "guardrailConfig",
        ),
        ({"additionalModelRequestFields": {"top_k": 5}}, "additionalModelRequestFields"),
        ({"inferenceConfig": {"maxTokens": 9999}}, "inferenceConfig.maxTokens"),
        (
            {"messages": [{"role": "assistant", "content": [{"text": "Hm"}]}]},
            "first and the last",
        ),
        (
            {"messages": [user({"document": {"name": "a", "source": {"text": "b"}}})]},
            "messages.0.content.0: document: the model takes blocks of text and image only",
        ),
        (
            {"messages": [user({"text": "a"}, {"cachePoint": {"type": "default"}})]},
            "messages.0.content.1: cachePoint: the model takes",
        ),
    ],
)
def test_parameters_that_would_change_the_answer_are_validation_exceptions(
    fake, model, options, named
):
    with pytest.raises(fake.exceptions.ValidationException, match=named):
        fake.converse(**{"modelId": MODEL, "messages": [user("Why?")], **options})

    assert model.requests == []


def test_parameters_without_effect_are_accepted_and_listed(fake):
    answer = fake.converse(modelId=MODEL, messages=[user("Why?")], requestMetadata={"team": "a"})

    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-ignored-parameters"] == "requestMetadata"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (native("<|image|><|image|>", ASTRONAUT), "<|image|>"),
        (native("Why?", max_gen_len=4096), "max_gen_len"),
        (native("Why?", top_k=1), "top_k"),
        ("{", "JSON"),
    ],
)
def test_an_invalid_native_body_is_a_validation_exception(fake, model, body, said):
    with pytest.raises(fake.exceptions.ValidationException) as refused:
        fake.invoke_model(modelId=MODEL, body=body)

    assert said in refused.value.response["Error"]["Message"]
    assert model.requests == []


def test_too_many_pictures_are_refused_without_advice_that_does_not_apply_here(fake, model):
    two = native("<|image|><|image|>", ASTRONAUT, ASTRONAUT)
    with pytest.raises(fake.exceptions.ValidationException) as invoked:
        fake.invoke_model(modelId=MODEL, body=two)
    with pytest.raises(fake.exceptions.ValidationException) as conversed:
        fake.converse(modelId=MODEL, messages=[user(picture(ASTRONAUT), picture(ASTRONAUT))])

    for refused in (invoked, conversed):
        assert refused.value.response["Error"]["Message"].endswith("takes 1 in one request")
    assert model.requests == []


def test_a_guardrail_named_by_the_caller_is_refused_rather_than_ignored(fake, model):
    with pytest.raises(fake.exceptions.ValidationException, match="guardrail"):
        fake.invoke_model(
            modelId=MODEL, body=native("Why?"), guardrailIdentifier="abc", guardrailVersion="1"
        )

    assert model.requests == []


@pytest.mark.parametrize(
    ("name", "harmless", "refused"),
    [
        ("X-Amzn-Bedrock-PerformanceConfig-Latency", "standard", "optimized"),
        ("X-Amzn-Bedrock-Service-Tier", "default", "priority"),
        ("X-Amzn-Bedrock-Trace", "ENABLED", None),
    ],
)
@pytest.mark.parametrize("operation", ["invoke", "invoke-with-response-stream"])
def test_headers_of_bedrock_are_treated_as_converses_fields(
    model, operation, name, harmless, refused
):
    def asked(value: str) -> Any:
        return http.post(
            f"/model/{MODEL}/{operation}", content=native("Why?"), headers={name: value}
        )

    with Rig(model).client() as http:
        taken = asked(harmless)
        assert taken.status_code == 200
        assert taken.headers["x-ignored-parameters"] == name
        if refused is not None:
            answer = asked(refused)
            assert answer.headers["x-amzn-errortype"] == "ValidationException"
            assert name in answer.json()["message"]

    assert len(model.requests) == 1


def test_a_bucket_with_another_owner_than_expected_is_not_read(model):
    objects = FakeImageSource({"a.png": ASTRONAUT})
    sources = ImageSources(2**20, urls=objects, objects=objects, room=plenty())
    location = {"uri": "s3://pictures/a.png", "bucketOwner": "123456789012"}
    shown = {"image": {"format": "png", "source": {"s3Location": location}}}
    with serving(Rig(model, sources=sources).app()) as url, client_of(url) as client:
        client.converse(modelId=MODEL, messages=[user("Why?", shown)])
        location["bucketOwner"] = "me"
        with pytest.raises(client.exceptions.ValidationException, match="bucketOwner"):
            client.converse(modelId=MODEL, messages=[user("Why?", shown)])

    assert objects.asked == [
        S3Image("pictures", "a.png", None, "messages.0.content.1.image", "123456789012")
    ]


def test_an_unknown_model_is_not_found_and_the_available_ones_are_listed(client, service):
    with pytest.raises(client.exceptions.ResourceNotFoundException, match=ALIAS):
        client.converse(modelId="amazon.nova-lite-v1:0", messages=[user("Why?")])

    assert service.seen() == []


# fault -> AWS's exception and its status
FAULTS = {
    "throttle": ("ThrottlingException", 429),
    "unavailable": ("ServiceUnavailableException", 503),
    "timeout": ("ModelTimeoutException", 408),
    "model-error": ("ModelErrorException", 424),
    "quota": ("ServiceQuotaExceededException", 400),
    "validation": ("ValidationException", 400),
    "denied": ("AccessDeniedException", 403),
    "retired": ("ResourceNotFoundException", 404),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_upstream_failure_is_the_exception_that_bedrock_would_raise(emulator_url, fault):
    name, status = FAULTS[fault]
    with (
        running(emulator_url, fault) as service,
        client_of(service.url) as client,
    ):
        for call in (client.converse, client.converse_stream):
            with pytest.raises(ClientError) as raised:
                call(modelId=service.model_id, messages=[user("Why?")])
            assert raised.value.response["Error"]["Code"] == name
            assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


BROKEN = {
    "frame-throttle-after-3": "throttlingException",
    "frame-unavailable-after-3": "serviceUnavailableException",
    "frame-validation-after-3": "validationException",
    "cut-after-3": "modelStreamErrorException",
    "drop-after-3": "modelStreamErrorException",
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_failure_within_a_stream_is_an_exception_event(emulator_url, fault):
    with running(emulator_url, fault) as service, client_of(service.url) as client:
        stream = client.converse_stream(modelId=service.model_id, messages=[user("Why?")])
        with closing(stream["stream"]) as events, pytest.raises(EventStreamError) as raised:
            list(events)
        reply = client.invoke_model_with_response_stream(
            modelId=service.model_id, body=native("Why?")
        )
        with closing(reply["body"]), pytest.raises(EventStreamError):
            chunks(reply)

    assert raised.value.response["Error"]["Code"] == BROKEN[fault]
    assert raised.value.response["Error"]["Message"]


@pytest.mark.parametrize(
    ("path", "content", "status", "kind"),
    [
        ("/model/x/nothing", b"{}", 404, "UnknownOperationException"),
        (f"/model/{MODEL}/converse", b"x" * 2_000, 413, "RequestEntityTooLargeException"),
        (f"/model/{MODEL}/converse", b"[]", 400, "ValidationException"),
    ],
)
def test_refusals_before_routing_have_awss_format_too(path, content, status, kind):
    with Rig(settings=Settings(_env_file=None, max_body_bytes=1_000)).client() as http:
        answer = http.post(path, content=content)

    assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (status, kind)
    assert answer.headers["x-amzn-requestid"] == answer.headers["x-request-id"]
    assert answer.json()["message"]


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        (
            "apply_guardrail",
            {
                "guardrailIdentifier": "g1",
                "guardrailVersion": "1",
                "source": "INPUT",
                "content": [{"text": {"text": "Hi"}}],
            },
        ),
        ("list_async_invokes", {}),
        ("count_tokens", {"modelId": MODEL, "input": {"invokeModel": {"body": b"{}"}}}),
    ],
)
def test_operations_that_are_not_served_are_unknown_in_awss_format(client, operation, arguments):
    with pytest.raises(ClientError) as refused:
        getattr(client, operation)(**arguments)

    assert refused.value.response["Error"]["Code"] == "UnknownOperationException"
    assert refused.value.response["Error"]["Message"].startswith("there is no /")


def test_every_path_of_the_sdks_client_gets_awss_errors(client):
    model = client.meta.service_model
    paths = [model.operation_model(name).http["requestUri"] for name in model.operation_names]

    assert [path for path in paths if dialects.dialect(path) != "bedrock"] == []


def test_the_services_keys_work_as_the_sdks_bearer_tokens(tmp_path, monkeypatch):
    keys = tmp_path / "keys.json"
    good, narrow = add_key(keys, Scope.GENERATE), add_key(keys, Scope.METRICS)
    with serving(guarded(keys).app()) as url:

        def asked(key: str) -> Any:
            monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", key)
            with client_of(url) as client:
                return client.converse(modelId=MODEL, messages=[user("Why?")])

        assert asked(good)["stopReason"] == "end_turn"
        with pytest.raises(ClientError, match="UnrecognizedClientException"):
            asked("wrong")
        with pytest.raises(ClientError, match="AccessDeniedException"):
            asked(narrow)


def test_a_signature_of_aws_is_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.delenv("AWS_BEARER_TOKEN_BEDROCK")
    add_key(tmp_path / "keys.json")
    with (
        serving(guarded(tmp_path / "keys.json").app()) as url,
        closing(
            boto3.client(
                "bedrock-runtime",
                endpoint_url=url,
                region_name="us-west-2",
                config=ONCE,
                aws_access_key_id="AKIA",
                aws_secret_access_key="secret",
            )
        ) as client,
        pytest.raises(ClientError, match="AWS signature") as refused,
    ):
        client.converse(modelId=ALIAS, messages=[user("Why?")])

    assert refused.value.response["Error"]["Code"] == "MissingAuthenticationTokenException"


def test_without_authentication_any_aws_keys_are_accepted(fake, monkeypatch):
    monkeypatch.delenv("AWS_BEARER_TOKEN_BEDROCK")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    with client_of(fake.meta.endpoint_url) as client:
        answer = client.converse(
            modelId="us.meta.llama3-2-11b-instruct-v1:0", messages=[user("Why?")]
        )

    assert answer["output"]["message"]["content"][0]["text"].endswith("Why?")


FORM = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


def converse_in_form(answers: list[Any], schema: Any, path: str = "converse") -> Any:
    """Call as SDKs do that know `outputConfig`, as the tests' own may be older."""
    asked = {"type": "json_schema", "structure": {"jsonSchema": {"schema": schema, "name": "f"}}}
    body = {"messages": [user("How many?")], "outputConfig": {"textFormat": asked}}
    with Rig(ScriptedVisionModel(answers=answers)).client() as http:
        return http.post(f"/model/us.meta.llama3-2-11b-instruct-v1:0/{path}", json=body)


@pytest.mark.parametrize("path", ["converse", "converse-stream"])
def test_an_answer_of_converse_matches_the_requested_schema(path):
    answer = converse_in_form(["It is a = 5", 'Well: {"a": 5}'], json.dumps(FORM), path)

    assert answer.status_code == 200
    assert "x-warnings" not in answer.headers
    if path == "converse":
        (block,) = answer.json()["output"]["message"]["content"]
        assert json.loads(block["text"]) == {"a": 5}
    else:
        assert b'{\\"a\\":5}' in answer.content
        assert b"messageStop" in answer.content


def test_an_answer_of_converse_that_misses_the_schema_has_a_warning():
    answer = converse_in_form(["No."], json.dumps(FORM))

    assert answer.json()["output"]["message"]["content"] == [{"text": "No."}]
    assert "answer_not_of_form" in answer.headers["x-warnings"]


@pytest.mark.parametrize("schema", ["{", "5", '{"type": "object"}', '{"$ref": "http://x"}'])
def test_an_unusable_schema_of_converse_is_refused(schema):
    answer = converse_in_form(["No."], schema)

    assert answer.status_code == 400
    assert "outputConfig.textFormat.structure.jsonSchema.schema" in answer.json()["message"]
