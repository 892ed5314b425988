"""The emulator's record of calls, and how it notices a disconnected caller."""

import asyncio
import hashlib
import socket
from contextlib import closing
from typing import Any

import aioboto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ReadTimeoutError

from app.emulator.config import EmulatorConfig
from app.emulator.wire.exchange import ClientLeftError, Exchange, Message
from tests.support.emulator.bodies import (
    MODEL,
    body,
    chunks,
    imported,
    messages,
    own_profile,
    plain,
    sample,
    template,
)
from tests.support.emulator.serving import KEYS, Served, serving


def only(emulator: Served, model_id: str) -> dict[str, Any]:
    record = emulator.record(model_id)
    assert record["received"] == len(record["requests"]) == 1
    found: dict[str, Any] = record["requests"][0]
    return found


def test_health_reports_the_emulators_capabilities(emulator: Served) -> None:
    health = emulator.admin("GET", "health")
    assert health == {"status": "ok", "vocabulary": "llama3", "reads_words": True}


def test_a_request_is_recorded_with_sizes_digests_and_parameters(
    emulator: Served, runtime: Any
) -> None:
    model_id, picture = own_profile(), sample("coffee.png")
    sent = body("Describe this", picture, top_p=0.25, max_gen_len=7)
    runtime.invoke_model(modelId=model_id, body=sent)
    emulator.until(model_id, "answered")
    found = only(emulator, model_id)
    assert found["operation"] == "InvokeModel"
    assert found["body_bytes"] == len(sent)
    assert found["parameters"] == {
        "temperature": 0.0,
        "top_p": 0.25,
        "max_gen_len": 7,
        "stop_sequences": [],
    }
    assert found["images"] == [
        {
            "sha256": hashlib.sha256(picture).hexdigest(),
            "bytes": len(picture),
            "format": "png",
            "width": 600,
            "height": 400,
        }
    ]
    assert (found["status"], found["outcome"]) == (200, "answered")


def test_converse_is_recorded_as_the_prompt_that_the_model_gets(
    emulator: Served, runtime: Any
) -> None:
    model_id = imported()
    runtime.converse(
        modelId=model_id,
        messages=messages("Describe this", plain()),
        system=[{"text": "Be brief."}],
        inferenceConfig={"stopSequences": ["END"]},
    )
    found = only(emulator, model_id)
    expected = template("Describe this", images=1, system="Be brief.")
    assert found["prompt"] == {
        "characters": len(expected),
        "sha256": hashlib.sha256(expected.encode()).hexdigest(),
        "text": expected,
    }
    assert found["parameters"]["stop_sequences"] == ["END"]


def test_prompt_texts_are_recorded_only_on_request() -> None:
    with serving() as served:
        served.client().invoke_model(modelId=MODEL, body=body("A secret"))
        record = served.admin("GET", "requests")
    assert record["requests"][0]["prompt"].keys() == {"characters", "sha256"}
    assert "A secret" not in str(record)


@pytest.mark.parametrize("token", [None, "a-session-token"])
def test_headers_are_recorded_without_secrets(
    emulator: Served, token: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_id = imported()
    emulator.client(aws_session_token=token).converse(modelId=model_id, messages=messages())
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "a-bedrock-key")
    emulator.client().converse(modelId=model_id, messages=messages())
    record = emulator.record(model_id)
    for request in record["requests"]:
        assert request["headers"]["content-type"] == "application/json"
        assert not request["headers"].keys() & {"authorization", "x-amz-security-token"}
    for secret in ("a-session-token", "a-bedrock-key", KEYS["aws_access_key_id"]):
        assert secret not in str(record)


def test_a_refused_request_is_recorded_with_its_status(emulator: Served, runtime: Any) -> None:
    model_id = imported()
    for fault in ("throttle", "overloaded"):
        with pytest.raises(ClientError):
            runtime.invoke_model(modelId=f"{model_id}.{fault}", body=body("Hi"))
    found = emulator.record(model_id)
    assert [entry["status"] for entry in found["requests"]] == [429, 529]
    assert found["refused"] == 2
    assert found["requests"][0]["parameters"]["max_gen_len"] == 512


def test_the_record_can_be_cleared_for_one_model(emulator: Served, runtime: Any) -> None:
    mine, other = imported(), imported()
    for model_id in (mine, other):
        runtime.invoke_model(modelId=model_id, body=body())
    emulator.admin("DELETE", "requests", params={"model_id": mine})
    assert emulator.record(mine)["received"] == 0
    assert emulator.record(other)["received"] == 1


def test_the_record_can_be_filtered_by_operation(emulator: Served, runtime: Any) -> None:
    model_id = imported()
    runtime.invoke_model(modelId=model_id, body=body())
    runtime.converse(modelId=model_id, messages=messages())
    asked = {"model_id": model_id, "operation": "Converse"}
    found = emulator.admin("GET", "requests", params=asked)
    assert [entry["operation"] for entry in found["requests"]] == ["Converse"]


def test_only_the_latest_requests_are_recorded() -> None:
    with serving(EmulatorConfig(recorded_requests=3)) as served:
        client = served.client()
        for _ in range(5):
            client.invoke_model(modelId=MODEL, body=body())
        numbers = [r["number"] for r in served.admin("GET", "requests")["requests"]]
    assert numbers == [3, 4, 5]


def test_an_unknown_admin_path_is_not_found(emulator: Served) -> None:
    assert httpx.get(f"{emulator.url}/_emulator/nothing").status_code == 404


@pytest.mark.parametrize("fault", ["stall", "first-token-60000ms"])
def test_a_caller_that_abandons_a_plain_answer_is_counted(emulator: Served, fault: str) -> None:
    model_id = imported()
    client = emulator.client(config=Config(read_timeout=0.3))
    with pytest.raises(ReadTimeoutError):
        client.invoke_model(modelId=f"{model_id}.{fault}", body=body())
    record = emulator.until(model_id, "client_left")
    assert (record["client_left"], record["active"]) == (1, 0)


def test_a_caller_that_closes_a_stream_is_counted(emulator: Served, runtime: Any) -> None:
    model_id = imported()
    reply = runtime.invoke_model_with_response_stream(
        modelId=f"{model_id}.token-60000ms", body=body()
    )
    with closing(reply["body"]) as stream:
        assert next(iter(stream))
        assert emulator.record(model_id)["active"] == 1
    record = emulator.until(model_id, "client_left")
    assert (record["client_left"], record["active"]) == (1, 0)


async def test_a_cancelled_call_is_counted(emulator: Served) -> None:
    model_id = imported()
    session = aioboto3.Session(region_name="us-east-1", **KEYS)
    async with session.client("bedrock-runtime", endpoint_url=emulator.url) as client:
        call = client.converse(modelId=f"{model_id}.stall", messages=messages())
        task = asyncio.ensure_future(call)
        await asyncio.to_thread(emulator.until, model_id, "active", 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    record = await asyncio.to_thread(emulator.until, model_id, "client_left")
    assert (record["client_left"], record["active"]) == (1, 0)


async def test_work_for_a_disconnected_caller_is_stopped() -> None:
    stopped = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async def leave() -> Message:
        return {"type": "http.disconnect"}

    async def send(_: Message) -> None:
        raise AssertionError("the client has disconnected")

    with pytest.raises(ClientLeftError):
        await Exchange({}, leave, send).unless_client_leaves(work())
    assert stopped.is_set()


def test_a_caller_that_stays_is_not_counted_as_gone(emulator: Served, runtime: Any) -> None:
    model_id = own_profile()
    assert chunks(runtime, model_id, image=plain())
    runtime.invoke_model(modelId=f"{model_id}.token-1ms", body=body())
    record = emulator.until(model_id, "answered")
    assert (record["answered"], record["client_left"], record["active"]) == (2, 0, 0)


def test_a_caller_that_disconnects_before_its_body_is_complete_harms_nobody(
    emulator: Served, runtime: Any
) -> None:
    address = ("127.0.0.1", int(emulator.url.rpartition(":")[2]))
    with socket.create_connection(address) as connection:
        connection.sendall(
            b"POST /model/a/invoke HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{"
        )
    assert runtime.converse(modelId=imported(), messages=messages())["stopReason"] == "end_turn"
