"""Batch inference jobs over a real S3 server: what they read and write, and how they end."""

import base64
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from app.emulator.batch.job import ENDS
from app.emulator.config import EmulatorConfig
from tests.support.emulator.bodies import plain
from tests.support.emulator.serving import Served, serving
from tests.support.servers.s3 import make_bucket, s3_client, s3_server

ROLE = "arn:aws:iam::123456789012:role/batch"
MODEL = "us.meta.llama3-2-11b-instruct-v1:0"
BUCKET = "batches"


@dataclass
class Place:
    """An emulator and the S3 server that its jobs use."""

    emulator: Served
    s3: Any

    @property
    def control(self) -> Any:
        return self.emulator.client("bedrock")

    def put(self, key: str, records: list[dict[str, Any]]) -> str:
        body = "".join(json.dumps(record) + "\n" for record in records)
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body.encode())
        return f"s3://{BUCKET}/{key}"

    def lines(self, key: str) -> list[dict[str, Any]]:
        body = self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return [json.loads(line) for line in body.splitlines()]

    def started(self, key: str, records: list[dict[str, Any]], **more: Any) -> str:
        uri = self.put(key, records)
        return str(self.control.create_model_invocation_job(**job(uri, **more))["jobArn"])

    def ended(self, arn: str) -> dict[str, Any]:
        end = time.monotonic() + 60
        while True:
            found: dict[str, Any] = self.control.get_model_invocation_job(jobIdentifier=arn)
            if "endTime" in found or time.monotonic() > end:
                return found
            time.sleep(0.05)


def job(uri: str, **more: Any) -> dict[str, Any]:
    return {
        "jobName": "captions",
        "roleArn": ROLE,
        "modelId": MODEL,
        "inputDataConfig": {"s3InputDataConfig": {"s3Uri": uri}},
        "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": f"s3://{BUCKET}/out/"}},
        **more,
    }


def records(count: int) -> list[dict[str, Any]]:
    return [
        {"recordId": f"R{number}", "modelInput": {"prompt": f"Question {number}?"}}
        for number in range(count)
    ]


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with s3_server() as s3_url:
        client = s3_client(s3_url)
        make_bucket(client, BUCKET)
        config = EmulatorConfig(s3_endpoint=s3_url, batch_seconds=0, batch_least_records=3)
        with serving(config) as emulator:
            yield Place(emulator, client)
        client.close()


def output(arn: str, name: str) -> str:
    return f"out/{arn.rpartition('/')[2]}/{name}"


def test_a_job_answers_each_record_and_echoes_its_input(place: Place) -> None:
    picture = base64.b64encode(plain()).decode()
    asked = records(3)
    asked[0]["modelInput"] = {"prompt": "<|image|>What is it?", "images": [picture]}
    arn = place.started("in/a.jsonl", asked)
    assert place.ended(arn)["status"] == "Completed"
    lines = place.lines(output(arn, "a.jsonl.out"))
    assert [line["recordId"] for line in lines] == ["R0", "R1", "R2"]
    assert [line["modelInput"] for line in lines] == [record["modelInput"] for record in asked]
    assert "Question 1?" in lines[1]["modelOutput"]["generation"]
    assert lines[0]["modelOutput"]["stop_reason"] == "stop"
    (manifest,) = place.lines(output(arn, "manifest.json.out"))
    assert manifest == {
        "totalRecordCount": 3,
        "processedRecordCount": 3,
        "successRecordCount": 3,
        "errorRecordCount": 0,
    }


def test_a_converse_job_answers_in_converses_format(place: Place) -> None:
    asked = [
        {"modelInput": {"messages": [{"role": "user", "content": [{"text": f"Hi {number}"}]}]}}
        for number in range(3)
    ]
    body = job(place.put("in/c.jsonl", asked), modelInvocationType="Converse")
    # The pinned SDK does not know this member.
    arn = httpx.post(f"{place.emulator.url}/model-invocation-job", json=body).json()["jobArn"]
    assert place.ended(arn)["status"] == "Completed"
    lines = place.lines(output(arn, "c.jsonl.out"))
    assert [line["modelOutput"]["stopReason"] for line in lines] == ["end_turn"] * 3
    assert all(len(line["recordId"]) == 11 for line in lines)


@pytest.mark.parametrize("part", ENDS)
def test_each_final_state_can_be_configured(place: Place, part: str) -> None:
    status, message = ENDS[part]
    ended = place.ended(place.started(f"in/{part}/a.jsonl", records(4)))
    assert (ended["status"], ended["message"]) == (status, message)


def test_a_timed_out_job_delivers_what_it_had(place: Place) -> None:
    arn = place.started("in/partially-completed/b.jsonl", records(6))
    place.ended(arn)
    lines = place.lines(output(arn, "b.jsonl.out"))
    assert [line["recordId"] for line in lines] == ["R0", "R1", "R2"]


def test_single_records_fail_by_themselves(place: Place) -> None:
    asked = records(6)
    asked[0]["modelInput"]["seed"] = 1
    arn = place.started("in/record-errors/d.jsonl", asked)
    assert place.ended(arn)["status"] == "Completed"
    lines = place.lines(output(arn, "d.jsonl.out"))
    codes = [line["error"]["errorCode"] if "error" in line else None for line in lines]
    assert codes == [400, None, 424, None, None, 424]


@pytest.mark.parametrize(
    ("key", "content", "said"),
    [
        ("in/few.jsonl", b'{"modelInput": {}}\n', "3 to 50000"),
        ("in/odd.txt", b'{"modelInput": {}}\n' * 3, "does not end in .jsonl"),
        ("in/bad.jsonl", b'{"modelInput": {}}\n{\n', "bad.jsonl line 2 is not JSON"),
        ("in/none.jsonl", b'{"recordId": "R"}\n', "has no modelInput"),
    ],
)
def test_malformed_input_fails_the_job(place: Place, key: str, content: bytes, said: str) -> None:
    place.s3.put_object(Bucket=BUCKET, Key=key, Body=content)
    arn = place.control.create_model_invocation_job(**job(f"s3://{BUCKET}/{key}"))["jobArn"]
    ended = place.ended(arn)
    assert ended["status"] == "Failed"
    assert said in ended["message"]


def test_the_same_request_token_returns_the_same_job(place: Place) -> None:
    uri = place.put("in/e.jsonl", records(3))
    create = place.control.create_model_invocation_job
    first = create(**job(uri, clientRequestToken="token1"))
    assert create(**job(uri, clientRequestToken="token1"))["jobArn"] == first["jobArn"]
    with pytest.raises(ClientError, match="used before with other parameters"):
        create(**job(uri, clientRequestToken="token1", jobName="other"))


def test_a_lost_reply_leaves_a_job_that_its_request_token_finds(place: Place) -> None:
    body = job(place.put("in/f.jsonl", records(3)), clientRequestToken="token2")
    fault = {"fault": "drop-first-1", "operation": "CreateModelInvocationJob"}
    place.emulator.admin("POST", "faults", json=fault)
    url = f"{place.emulator.url}/model-invocation-job"
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.post(url, json=body)
    before = place.control.list_model_invocation_jobs()["invocationJobSummaries"]
    arn = httpx.post(url, json=body).json()["jobArn"]
    after = place.control.list_model_invocation_jobs()["invocationJobSummaries"]
    assert [one["jobArn"] for one in before] == [one["jobArn"] for one in after]
    assert after[0]["jobArn"] == arn


def test_a_stopped_job_ends_as_stopped(place: Place) -> None:
    config = EmulatorConfig(s3_endpoint=place.s3.meta.endpoint_url, batch_seconds=30)
    uri = place.put("in/g.jsonl", records(3))
    with serving(config) as emulator:
        control = emulator.client("bedrock")
        arn = control.create_model_invocation_job(**job(uri))["jobArn"]
        control.stop_model_invocation_job(jobIdentifier=arn)
        assert control.get_model_invocation_job(jobIdentifier=arn)["status"] == "Stopping"


def test_a_job_that_has_ended_cannot_be_stopped(place: Place) -> None:
    arn = place.started("in/h.jsonl", records(3))
    place.ended(arn)
    with pytest.raises(ClientError, match="can't be stopped"):
        place.control.stop_model_invocation_job(jobIdentifier=arn)


@pytest.mark.parametrize(
    "model",
    [
        "arn:aws:bedrock:us-east-1:123456789012:imported-model/llama32vis11",
        "meta.llama3-2-11b-instruct-v1:0",
    ],
)
def test_models_without_batch_support_are_refused(place: Place, model: str) -> None:
    uri = place.put("in/i.jsonl", records(3))
    with pytest.raises(ClientError, match="ValidationException"):
        place.control.create_model_invocation_job(**job(uri, modelId=model))


def test_without_an_s3_server_a_job_fails(place: Place) -> None:
    with serving(EmulatorConfig(batch_seconds=0)) as emulator:
        control = emulator.client("bedrock")
        arn = control.create_model_invocation_job(**job("s3://nowhere/a.jsonl"))["jobArn"]
        ended = Place(emulator, None).ended(arn)
    assert (ended["status"], "--s3-endpoint" in ended["message"]) == ("Failed", True)
