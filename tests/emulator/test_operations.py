"""Every operation, called through boto3, aioboto3 and plain botocore."""

import json
from typing import Any

import aioboto3
import botocore.session
import pytest
from botocore.config import Config

from tests.support.emulator.bodies import (
    BARE,
    MODEL,
    body,
    chunks,
    imported,
    messages,
    plain,
    sample,
)
from tests.support.emulator.service_shapes import violations
from tests.support.emulator.serving import KEYS, OPENED, Served

NATIVE = {"generation", "prompt_token_count", "generation_token_count", "stop_reason"}


def test_invoke_model_answers_with_exactly_the_members_of_llamas_format(runtime: Any) -> None:
    reply = runtime.invoke_model(modelId=MODEL, body=body("Describe this", plain()))
    answer = json.loads(reply["body"].read())
    assert set(answer) == NATIVE
    assert answer["stop_reason"] == "stop"
    assert reply["contentType"] == "application/json"


def test_invoke_model_reports_counts_and_latency_in_headers(runtime: Any) -> None:
    reply = runtime.invoke_model(modelId=MODEL, body=body("Hi"))
    headers = reply["ResponseMetadata"]["HTTPHeaders"]
    answer = json.loads(reply["body"].read())
    assert int(headers["x-amzn-bedrock-input-token-count"]) == answer["prompt_token_count"]
    assert int(headers["x-amzn-bedrock-output-token-count"]) == answer["generation_token_count"]
    assert int(headers["x-amzn-bedrock-invocation-latency"]) >= 0
    assert reply["ResponseMetadata"]["RequestId"] == headers["x-amzn-requestid"] != ""


def test_one_picture_is_one_token(runtime: Any) -> None:
    text = "Describe this image in two sentences"
    sizes = [plain((32, 32)), plain((1120, 1120))]
    replies = [runtime.invoke_model(modelId=MODEL, body=body(text, image)) for image in sizes]
    counts = [json.loads(reply["body"].read())["prompt_token_count"] for reply in replies]
    # Counted with the real vocabulary by the reference implementation of this contract.
    assert counts == [17, 17]


def test_a_stream_has_the_same_answer_as_a_plain_call(runtime: Any) -> None:
    picture = sample("chelsea.png")
    whole = json.loads(
        runtime.invoke_model(modelId=MODEL, body=body("Describe this", picture))["body"].read()
    )
    parts = chunks(runtime, MODEL, text="Describe this", image=picture)
    assert "".join(part["generation"] for part in parts) == whole["generation"]
    assert len(parts) == whole["generation_token_count"]


def test_stream_counts_are_cumulative_and_metrics_come_last(runtime: Any) -> None:
    parts = chunks(runtime, MODEL, text="Describe this", image=plain())
    assert [part["generation_token_count"] for part in parts] == list(range(1, len(parts) + 1))
    assert parts[0]["prompt_token_count"] > 0
    assert {part["prompt_token_count"] for part in parts[1:]} == {None}
    assert {part["stop_reason"] for part in parts[:-1]} == {None}
    last = parts[-1]
    assert last["stop_reason"] == "stop"
    assert last["generation"]  # the final chunk may carry text, and does here
    metrics = last["amazon-bedrock-invocationMetrics"]
    assert metrics["inputTokenCount"] == parts[0]["prompt_token_count"]
    assert metrics["outputTokenCount"] == len(parts)
    assert 0 <= metrics["firstByteLatency"] <= metrics["invocationLatency"]


def test_the_stream_names_the_type_of_its_chunks(runtime: Any) -> None:
    reply = runtime.invoke_model_with_response_stream(modelId=MODEL, body=body())
    assert reply["contentType"] == "application/json"
    headers = reply["ResponseMetadata"]["HTTPHeaders"]
    assert headers["content-type"] == "application/vnd.amazon.eventstream"
    assert list(reply["body"])


def test_converse_answers_in_its_own_format(runtime: Any) -> None:
    reply = runtime.converse(modelId=MODEL, messages=messages("Describe this", plain()))
    assert reply["stopReason"] == "end_turn"
    assert reply["output"]["message"]["role"] == "assistant"
    assert "64x48" in reply["output"]["message"]["content"][0]["text"]
    usage = reply["usage"]
    assert usage["totalTokens"] == usage["inputTokens"] + usage["outputTokens"]


def test_converse_has_its_counts_in_the_body_only(runtime: Any) -> None:
    headers = runtime.converse(modelId=MODEL, messages=messages())["ResponseMetadata"][
        "HTTPHeaders"
    ]
    assert headers["x-amzn-requestid"]
    assert [name for name in headers if name.startswith("x-amzn-bedrock")] == []


def test_converse_counts_the_tokens_of_the_template(runtime: Any) -> None:
    text = "Describe this image in two sentences"
    reply = runtime.converse(modelId=MODEL, messages=messages(text, plain()))
    assert reply["usage"]["inputTokens"] == 17


def test_converse_stream_sends_its_events_in_order_with_metadata_last(runtime: Any) -> None:
    reply = runtime.converse_stream(
        modelId=MODEL, messages=messages("Describe this", plain()), system=[{"text": "Be brief."}]
    )
    events = list(reply["stream"])
    kinds = [next(iter(event)) for event in events]
    deltas = kinds[1:-3]
    assert kinds[0] == "messageStart"
    assert set(deltas) == {"contentBlockDelta"}
    assert kinds[-3:] == ["contentBlockStop", "messageStop", "metadata"]
    assert events[-1]["metadata"]["usage"]["outputTokens"] == len(deltas)


def test_every_event_of_converse_stream_fits_the_service_model(runtime: Any) -> None:
    shape = runtime.meta.service_model.operation_model("ConverseStream").output_shape
    reply = runtime.converse_stream(modelId=MODEL, messages=messages())
    found = [violations(shape.members["stream"], event) for event in reply["stream"]]
    assert len(found) > 5
    assert not any(found)


def test_the_check_of_shapes_can_fail(runtime: Any) -> None:
    shape = runtime.meta.service_model.operation_model("Converse").output_shape
    broken = {"output": {}, "stopReason": "tired", "usage": {"inputTokens": "1"}, "more": 1}
    found = " ".join(violations(shape, broken))
    for part in ("unknown member more", "metrics is missing", "'tired'", "outputTokens", "'1'"):
        assert part in found


@pytest.mark.parametrize("reason", ["native", "converse"])
def test_the_limit_cuts_the_answer_with_stop_reason_length(runtime: Any, reason: str) -> None:
    if reason == "native":
        reply = runtime.invoke_model(modelId=MODEL, body=body("Hi", max_gen_len=3))
        answer = json.loads(reply["body"].read())
        assert (answer["generation_token_count"], answer["stop_reason"]) == (3, "length")
    else:
        config = {"maxTokens": 3}
        answer = runtime.converse(modelId=MODEL, messages=messages(), inferenceConfig=config)
        assert (answer["usage"]["outputTokens"], answer["stopReason"]) == (3, "max_tokens")


def test_converse_stops_at_a_stop_sequence(runtime: Any) -> None:
    config = {"stopSequences": ["picture"]}
    reply = runtime.converse(modelId=MODEL, messages=messages(), inferenceConfig=config)
    assert reply["stopReason"] == "stop_sequence"
    assert "picture" not in reply["output"]["message"]["content"][0]["text"]


@pytest.mark.parametrize(
    "model_id",
    [
        MODEL,
        "us.meta.llama3-2-90b-instruct-v1:0",
        f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/{MODEL}",
        "arn:aws:bedrock:us-west-2:123456789012:application-inference-profile/abc123def456",
        "arn:aws:bedrock:us-east-1:123456789012:imported-model/abcdefghijkl",
        "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abcdefghijkl",
    ],
)
def test_every_form_of_a_model_id_is_served(runtime: Any, model_id: str) -> None:
    reply = runtime.invoke_model(modelId=model_id, body=body())
    assert json.loads(reply["body"].read())["stop_reason"] == "stop"
    assert runtime.converse(modelId=model_id, messages=messages())["stopReason"] == "end_turn"


async def test_aioboto3_gets_the_control_plane_and_guardrails(emulator: Served) -> None:
    session = aioboto3.Session(region_name="us-east-1", **KEYS)
    async with session.client("bedrock", endpoint_url=emulator.url) as control:
        listed = await control.list_foundation_models()
        model = await control.get_foundation_model(modelIdentifier=BARE)
        profiles = await control.list_inference_profiles()
        profile = await control.get_inference_profile(inferenceProfileIdentifier=MODEL)
    async with session.client("bedrock-runtime", endpoint_url=emulator.url) as client:
        judged = await client.apply_guardrail(
            guardrailIdentifier="emulator",
            guardrailVersion="DRAFT",
            source="OUTPUT",
            content=[{"text": {"text": "blockme"}}],
        )
    assert model["modelDetails"] in listed["modelSummaries"]
    assert (
        profile["inferenceProfileArn"]
        == (profiles["inferenceProfileSummaries"][0]["inferenceProfileArn"])
    )
    assert judged["action"] == "GUARDRAIL_INTERVENED"


async def test_aioboto3_gets_all_four_operations(emulator: Served) -> None:
    model_id = imported()
    session = aioboto3.Session(region_name="us-east-1", **KEYS)
    async with session.client("bedrock-runtime", endpoint_url=emulator.url) as client:
        whole = await client.invoke_model(modelId=model_id, body=body())
        native = json.loads(await whole["body"].read())["generation"]
        streamed = await client.invoke_model_with_response_stream(modelId=model_id, body=body())
        parts = [json.loads(e["chunk"]["bytes"])["generation"] async for e in streamed["body"]]
        said = await client.converse(
            modelId=model_id, messages=messages(), inferenceConfig={"temperature": 0}
        )
        stream = await client.converse_stream(
            modelId=model_id, messages=messages(), inferenceConfig={"temperature": 0}
        )
        events = [event async for event in stream["stream"]]
    deltas = [e["contentBlockDelta"]["delta"]["text"] for e in events if "contentBlockDelta" in e]
    told = said["output"]["message"]["content"][0]["text"]
    assert native == "".join(parts) == told == "".join(deltas) != ""


def test_raw_botocore_is_served_too(emulator: Served) -> None:
    session: Any = botocore.session.get_session()
    client = session.create_client(
        "bedrock-runtime", "us-east-1", endpoint_url=emulator.url, **KEYS
    )
    OPENED.append(client)
    reply = client.invoke_model(modelId=MODEL, body=body())
    assert json.loads(reply["body"].read())["generation"].startswith("[emulator]")


def test_the_same_port_serves_the_control_plane(emulator: Served) -> None:
    control = emulator.client("bedrock")
    listed = control.list_foundation_models(byProvider="Meta")["modelSummaries"]
    ids = [model["modelId"] for model in listed]
    assert ids == ["meta.llama3-2-11b-instruct-v1:0", "meta.llama3-2-90b-instruct-v1:0"]
    details = control.get_foundation_model(modelIdentifier=ids[0])["modelDetails"]
    assert details["inputModalities"] == ["TEXT", "IMAGE"]
    assert details["modelLifecycle"]["status"] == "ACTIVE"
    assert details["responseStreamingSupported"] is True


def test_a_foundation_model_is_found_by_its_arn(emulator: Served) -> None:
    arn = "arn:aws:bedrock:us-east-1::foundation-model/meta.llama3-2-11b-instruct-v1:0"
    details = emulator.client("bedrock").get_foundation_model(modelIdentifier=arn)["modelDetails"]
    assert details["modelArn"] == arn


def test_listed_models_are_filtered_as_requested(emulator: Served) -> None:
    control = emulator.client("bedrock")
    assert control.list_foundation_models(byProvider="Amazon")["modelSummaries"] == []
    assert control.list_foundation_models(byOutputModality="IMAGE")["modelSummaries"] == []
    assert len(control.list_foundation_models(byOutputModality="TEXT")["modelSummaries"]) == 2
    assert control.list_foundation_models(byInferenceType="ON_DEMAND")["modelSummaries"] == []


def test_a_profile_names_the_regions_it_sends_requests_to(emulator: Served) -> None:
    control = emulator.client("bedrock")
    profile = control.get_inference_profile(inferenceProfileIdentifier=MODEL)
    regions = [model["modelArn"].split(":")[3] for model in profile["models"]]
    assert regions == ["us-east-1", "us-east-2", "us-west-2"]
    assert (profile["status"], profile["type"]) == ("ACTIVE", "SYSTEM_DEFINED")
    by_arn = control.get_inference_profile(
        inferenceProfileIdentifier=profile["inferenceProfileArn"]
    )
    assert by_arn["inferenceProfileId"] == MODEL


def test_profiles_are_listed_by_type(emulator: Served) -> None:
    control = emulator.client("bedrock")
    listed = control.list_inference_profiles()["inferenceProfileSummaries"]
    assert next(profile["inferenceProfileId"] for profile in listed) == MODEL
    own = control.list_inference_profiles(typeEquals="APPLICATION")
    assert own["inferenceProfileSummaries"] == []


@pytest.mark.parametrize(
    ("operation", "arguments", "code"),
    [
        ("get_foundation_model", {"modelIdentifier": "nonsense"}, "ValidationException"),
        ("get_foundation_model", {"modelIdentifier": "meta.llama9"}, "ResourceNotFoundException"),
        (
            "get_inference_profile",
            {"inferenceProfileIdentifier": "us.meta.nothing"},
            "ResourceNotFoundException",
        ),
    ],
)
def test_unknown_control_plane_operations_are_aws_errors(
    emulator: Served, operation: str, arguments: dict[str, str], code: str
) -> None:
    control = emulator.client("bedrock")
    with pytest.raises(control.exceptions.ClientError) as caught:
        getattr(control, operation)(**arguments)
    assert caught.value.response["Error"]["Code"] == code


def test_an_operation_that_is_not_emulated_is_refused_by_name(runtime: Any) -> None:
    with pytest.raises(runtime.exceptions.ClientError) as caught:
        runtime.list_async_invokes()
    assert caught.value.response["Error"]["Code"] == "UnknownOperationException"


def test_one_connection_serves_several_calls(emulator: Served) -> None:
    client = emulator.client(config=Config(max_pool_connections=1))
    answers = {client.converse(modelId=MODEL, messages=messages())["stopReason"] for _ in range(5)}
    assert answers == {"end_turn"}
