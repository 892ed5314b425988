"""Every fault, selected by model id or admin endpoint, as AWS's clients see it."""

import json
import logging
import time
from contextlib import closing
from typing import Any, cast

import aioboto3
import httpx
import pytest
from aiohttp import ClientPayloadError
from botocore.config import Config
from botocore.eventstream import ChecksumMismatch
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EventStreamError,
    ReadTimeoutError,
    ResponseStreamingError,
)
from urllib3.exceptions import ProtocolError
from urllib3.exceptions import ReadTimeoutError as UrllibTimeoutError

from app.emulator.config import EmulatorConfig
from app.emulator.faults import spelling
from app.emulator.faults.spelling import Timing
from tests.support.emulator.bodies import (
    MODEL,
    body,
    broken_chunks,
    chunks,
    drained,
    imported,
    messages,
)
from tests.support.emulator.serving import KEYS, Served, serving

OPERATIONS: list[tuple[str, dict[str, Any]]] = [
    ("invoke_model", {"body": body()}),
    ("invoke_model_with_response_stream", {"body": body()}),
    ("converse", {"messages": messages()}),
    ("converse_stream", {"messages": messages()}),
]
HANGING = Config(read_timeout=0.5)


def error_of(client: Any, model_id: str, operation: str = "invoke_model") -> dict[str, Any]:
    arguments = dict(OPERATIONS)[operation]
    with pytest.raises(ClientError) as caught:
        getattr(client, operation)(modelId=model_id, **arguments)
    return cast("dict[str, Any]", caught.value.response)


def outcomes(client: Any, model_id: str, calls: int) -> str:
    """Return a letter for each call: ``.`` for an answer, ``x`` for an error."""
    told = ""
    for _ in range(calls):
        try:
            client.invoke_model(modelId=model_id, body=body())
            told += "."
        except ClientError:
            told += "x"
    return told


@pytest.mark.parametrize("operation", [name for name, _ in OPERATIONS])
@pytest.mark.parametrize(("fault", "kind"), list(spelling.EXCEPTIONS.items()))
def test_each_exception_is_returned_before_the_first_byte_of_each_operation(
    runtime: Any, operation: str, fault: str, kind: Any
) -> None:
    response = error_of(runtime, f"{imported()}.{fault}", operation)
    assert response["Error"]["Code"] == kind.name
    assert response["Error"]["Message"] == kind.message
    assert response["ResponseMetadata"]["HTTPStatusCode"] == kind.status
    assert response["ResponseMetadata"]["RequestId"]


def test_every_exception_of_the_service_model_can_be_simulated(runtime: Any) -> None:
    modelled = {
        shape.name
        for operation in ("InvokeModel", "InvokeModelWithResponseStream", "Converse")
        for shape in runtime.meta.service_model.operation_model(operation).error_shapes
    }
    assert modelled <= {kind.name for kind in spelling.EXCEPTIONS.values()}


def test_statuses_are_those_of_the_service_model(runtime: Any) -> None:
    model = runtime.meta.service_model
    modelled = {
        shape.name: shape.metadata["error"]["httpStatusCode"]
        for shape in model.operation_model("InvokeModelWithResponseStream").error_shapes
    }
    emulated = {kind.name: kind.status for kind in spelling.EXCEPTIONS.values()}
    assert modelled == {name: emulated[name] for name in modelled}


def test_a_model_error_contains_the_models_original_status(runtime: Any) -> None:
    response = error_of(runtime, f"{imported()}.model-error")
    assert response["originalStatusCode"] == 500
    assert response["resourceName"]


@pytest.mark.parametrize(
    ("fault", "status"), [("overloaded", 529), ("bad-gateway", 502), ("gateway-timeout", 504)]
)
@pytest.mark.parametrize("operation", [name for name, _ in OPERATIONS])
def test_a_gateways_error_has_no_aws_type(
    runtime: Any, operation: str, fault: str, status: int
) -> None:
    response = error_of(runtime, f"{imported()}.{fault}", operation)
    assert response["ResponseMetadata"]["HTTPStatusCode"] == status
    headers = response["ResponseMetadata"]["HTTPHeaders"]
    assert "x-amzn-errortype" not in headers
    assert ("retry-after" in headers) == (status == 529)


def test_botocores_own_retries_survive_a_throttle(emulator: Served) -> None:
    model_id = imported()
    client = emulator.client(config=Config(retries={"total_max_attempts": 3, "mode": "standard"}))
    reply = client.invoke_model(modelId=f"{model_id}.throttle-first-1", body=body())
    assert reply["ResponseMetadata"]["RetryAttempts"] == 1
    assert emulator.record(model_id)["received"] == 2


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("throttle", "xxxxxx"),
        ("throttle-every-3", "..x..x"),
        ("throttle-first-2", "xx...."),
        ("loading-2", "xx...."),
        ("throttle-until-4102444800", "xxxxxx"),
        ("throttle-until-1000000000", "......"),
        ("throttle-for-900s", "xxxxxx"),
        ("throttle-every-2.internal-every-3", ".xxx.x"),
    ],
)
def test_a_schedule_selects_the_failing_calls(runtime: Any, fault: str, expected: str) -> None:
    assert outcomes(runtime, f"{imported()}.{fault}", 6) == expected


@pytest.mark.parametrize(("age", "due"), [(0.0, True), (1.4, True), (1.5, False), (60.0, False)])
def test_a_fault_with_a_duration_expires(age: float, due: bool) -> None:
    timing = spelling.parsed("throttle-for-1500ms").timing
    assert timing == Timing(seconds=1.5)
    assert timing.due(call=1, age=age, now=0.0) is due


def test_a_loading_model_is_ready_after_its_configured_calls(runtime: Any) -> None:
    model_id = f"{imported()}.loading-1"
    assert error_of(runtime, model_id)["Error"]["Code"] == "ModelNotReadyException"
    assert runtime.converse(modelId=model_id, messages=messages())["stopReason"] == "end_turn"


@pytest.mark.parametrize("fault", ["nonsense", "throttle-often", "token-5", "throttle-after-2"])
def test_an_unknown_fault_makes_the_model_id_invalid(runtime: Any, fault: str) -> None:
    error = error_of(runtime, f"{MODEL}.{fault}")["Error"]
    assert error["Code"] == "ValidationException"
    assert error["Message"].startswith("The provided model identifier is invalid.")
    assert fault in error["Message"]


IN_STREAMS = [
    "internalServerException",
    "modelStreamErrorException",
    "validationException",
    "throttlingException",
    "serviceUnavailableException",
]


def frame_faults(*, native: bool) -> list[tuple[str, str]]:
    """Return the faults whose exception is part of the stream's shape, with the frame's name."""
    known = {*IN_STREAMS, "modelTimeoutException"} if native else set(IN_STREAMS)
    return [
        (name, kind.frame_type)
        for name, kind in spelling.EXCEPTIONS.items()
        if kind.frame_type in known
    ]


@pytest.mark.parametrize(("fault", "code"), frame_faults(native=True))
def test_an_exception_frame_ends_a_native_stream_after_n_chunks(
    runtime: Any, fault: str, code: str
) -> None:
    seen, error = broken_chunks(runtime, f"{imported()}.frame-{fault}-after-2")
    assert isinstance(error, EventStreamError)
    assert error.response["Error"] == {"Code": code, "Message": spelling.EXCEPTIONS[fault].message}
    assert len(seen) == 2


@pytest.mark.parametrize(("fault", "code"), frame_faults(native=False))
@pytest.mark.parametrize("after", [0, 3])
def test_an_exception_frame_ends_a_converse_stream_after_n_texts(
    runtime: Any, fault: str, code: str, after: int
) -> None:
    model_id = f"{imported()}.frame-{fault}-after-{after}"
    reply = runtime.converse_stream(modelId=model_id, messages=messages())
    events, error = drained(reply["stream"])
    assert isinstance(error, EventStreamError)
    assert error.response["Error"]["Code"] == code
    assert sum("contentBlockDelta" in event for event in events) == after


def test_a_cut_stream_ends_cleanly_without_its_last_chunk(runtime: Any) -> None:
    whole = chunks(runtime, imported())
    cut = chunks(runtime, f"{imported()}.cut")
    assert [c["generation"] for c in cut] == [c["generation"] for c in whole[:-1]]
    assert {c["stop_reason"] for c in cut} == {None}


def test_a_cut_converse_stream_has_no_stop_reason(runtime: Any) -> None:
    reply = runtime.converse_stream(modelId=f"{imported()}.cut-after-2", messages=messages())
    kinds = [next(iter(event)) for event in reply["stream"]]
    assert kinds == ["messageStart", "contentBlockDelta", "contentBlockDelta"]
    reply = runtime.converse_stream(modelId=f"{imported()}.cut", messages=messages())
    assert [next(iter(event)) for event in reply["stream"]][-1] == "contentBlockStop"


def test_a_wrong_checksum_is_detected_by_botocore(runtime: Any) -> None:
    texts, error = broken_chunks(runtime, f"{imported()}.bad-crc-after-2")
    assert isinstance(error, ChecksumMismatch)
    assert len(texts) <= 2


@pytest.mark.parametrize(("name", "arguments"), OPERATIONS)
def test_a_dropped_socket_sends_no_reply_at_all(
    emulator: Served,
    runtime: Any,
    name: str,
    arguments: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    model_id = imported()
    with pytest.raises(ConnectionClosedError):
        getattr(runtime, name)(modelId=f"{model_id}.drop", **arguments)
    assert emulator.until(model_id, "hung_up")["hung_up"] == 1
    # The server knows that the connection is gone and does not log a missing reply.
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_a_socket_dropped_in_a_stream_breaks_it(runtime: Any) -> None:
    texts, error = broken_chunks(runtime, f"{imported()}.drop-after-2")
    assert isinstance(error, ResponseStreamingError | ProtocolError | ConnectionError)
    assert len(texts) <= 2


def test_a_socket_dropped_in_a_plain_reply_truncates_its_body(runtime: Any) -> None:
    reply = runtime.invoke_model(modelId=f"{imported()}.drop-after-9", body=body())
    with closing(reply["body"]) as stream, pytest.raises((ResponseStreamingError, ProtocolError)):
        stream.read()


async def test_aiohttp_raises_its_own_error_for_a_dropped_stream(emulator: Served) -> None:
    session = aioboto3.Session(region_name="us-east-1", **KEYS)
    async with session.client("bedrock-runtime", endpoint_url=emulator.url) as client:
        reply = await client.invoke_model_with_response_stream(
            modelId=f"{imported()}.drop-after-2", body=body()
        )
        with pytest.raises(ClientPayloadError):
            [event async for event in reply["body"]]
        reply["body"].close()


@pytest.mark.parametrize(("name", "arguments"), OPERATIONS)
def test_a_stalled_call_never_answers(
    emulator: Served, name: str, arguments: dict[str, Any]
) -> None:
    client = emulator.client(config=HANGING)
    with pytest.raises(ReadTimeoutError):
        getattr(client, name)(modelId=f"{imported()}.stall", **arguments)


def test_a_stalled_stream_first_sends_what_it_has(emulator: Served) -> None:
    client = emulator.client(config=HANGING)
    texts, error = broken_chunks(client, f"{imported()}.stall-after-2")
    assert isinstance(error, ReadTimeoutError | UrllibTimeoutError)
    assert len(texts) == 2


def test_a_slow_trickle_arrives_completely(runtime: Any) -> None:
    whole, _ = broken_chunks(runtime, imported())
    dripped, error = broken_chunks(runtime, f"{imported()}.drip-1ms")
    assert error is None
    assert [c["generation"] for c in dripped] == [c["generation"] for c in whole]


def test_tokens_come_at_the_configured_pace(runtime: Any) -> None:
    model_id = f"{imported()}.first-token-150ms.token-30ms"
    started = time.monotonic()
    reply = runtime.converse_stream(
        modelId=model_id, messages=messages(), inferenceConfig={"maxTokens": 5}
    )
    metadata = list(reply["stream"])[-1]["metadata"]
    # Lower bounds only: a busy machine may be slower, never faster.
    assert time.monotonic() - started >= 0.15 + 4 * 0.03
    assert metadata["metrics"]["latencyMs"] >= 150 + 4 * 30


def test_a_streams_metrics_reflect_its_pace(runtime: Any) -> None:
    model_id = f"{imported()}.first-token-120ms.token-20ms"
    last = chunks(runtime, model_id, max_gen_len=5)[-1]
    metrics = last["amazon-bedrock-invocationMetrics"]
    assert metrics["firstByteLatency"] >= 120
    assert metrics["invocationLatency"] >= metrics["firstByteLatency"] + 4 * 20


def test_a_plain_answer_takes_the_time_of_its_tokens(runtime: Any) -> None:
    started = time.monotonic()
    model_id = f"{imported()}.first-token-100ms.token-20ms"
    reply = runtime.invoke_model(modelId=model_id, body=body(max_gen_len=6))
    assert time.monotonic() - started >= 0.1 + 5 * 0.02
    assert json.loads(reply["body"].read())["stop_reason"] == "length"


def test_the_bedrock_like_pace_is_a_named_profile() -> None:
    effect = spelling.parsed("pace-bedrock").effect
    assert effect == spelling.Delay(first_ms=500, token_ms=15)


def test_chunks_are_sent_as_they_are_generated(runtime: Any) -> None:
    model_id = f"{imported()}.stall-after-1"
    reply = runtime.invoke_model_with_response_stream(modelId=model_id, body=body())
    # The stall never ends, so a first chunk that arrives was sent at once.
    with closing(reply["body"]) as stream:
        assert json.loads(next(iter(stream))["chunk"]["bytes"])["generation"]


def test_an_installed_fault_affects_its_model_only(emulator: Served, runtime: Any) -> None:
    mine, other = imported(), imported()
    made = emulator.admin("POST", "faults", json={"fault": "throttle", "model_id": mine})
    assert outcomes(runtime, mine, 2) == "xx"
    assert outcomes(runtime, other, 2) == ".."
    listed = emulator.admin("GET", "faults")["faults"]
    assert {**made, "calls": 2} in listed
    assert emulator.admin("DELETE", f"faults/{made['number']}") == {"removed": 1}
    assert outcomes(runtime, mine, 1) == "."


def test_an_installed_fault_can_be_limited_to_one_operation(emulator: Served, runtime: Any) -> None:
    model_id = imported()
    scope = {"model_id": model_id, "operation": "Converse"}
    emulator.admin("POST", "faults", json={"fault": "unavailable-first-1", **scope})
    assert outcomes(runtime, model_id, 2) == ".."
    error = error_of(runtime, model_id, "converse")["Error"]
    assert error["Code"] == "ServiceUnavailableException"
    assert runtime.converse(modelId=model_id, messages=messages())["stopReason"] == "end_turn"
    assert emulator.admin("DELETE", "faults", params={"model_id": model_id})["removed"] == 1


@pytest.mark.parametrize(
    "sent", [{"fault": "nonsense"}, {}, {"fault": 1}, {"fault": "throttle", "when": "now"}]
)
def test_an_invalid_fault_is_not_installed(emulator: Served, sent: dict[str, Any]) -> None:
    reply = httpx.post(f"{emulator.url}/_emulator/faults", json=sent)
    assert reply.status_code == 400
    assert reply.json()["message"]


def test_the_control_plane_and_guardrails_can_be_throttled_too() -> None:
    with serving(EmulatorConfig(faults=("throttle-first-2",))) as served:
        control = served.client("bedrock")
        with pytest.raises(ClientError) as caught:
            control.list_foundation_models()
        with pytest.raises(ClientError):
            served.client().apply_guardrail(
                guardrailIdentifier="emulator",
                guardrailVersion="1",
                source="INPUT",
                content=[{"text": {"text": "Hi"}}],
            )
        assert control.list_foundation_models()["modelSummaries"]
    assert caught.value.response["Error"]["Code"] == "ThrottlingException"
