"""Batches as Bedrock batch jobs, with the openai SDK, the emulator and a real S3 server."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from openai import APIStatusError, OpenAI

from app.adapters.queue.sqlite import open_sqlite_queue
from app.domain.work import WorkKind
from app.emulator.config import EmulatorConfig
from app.services.batches import record
from app.settings import Settings
from tests.support.emulator.serving import Served
from tests.support.emulator.serving import serving as emulating
from tests.support.files.pictures import ROCKET, b64
from tests.support.servers.s3 import make_bucket, s3_client, s3_server
from tests.support.servers.uvicorn import serving
from tests.support.service.application import Rig

BUCKET = "native-batches"
PROFILE = "us.meta.llama3-2-11b-instruct-v1:0"
IMPORTED = "arn:aws:bedrock:us-east-1:123456789012:imported-model/llama32vis11"
CHAT = {"model": PROFILE, "messages": [{"role": "user", "content": "Why?"}], "temperature": 0}
PATIENCE = 90.0


@dataclass
class World:
    """An emulator and the S3 server that its batch jobs use."""

    emulator: Served
    s3: Any
    data: Path

    @contextmanager
    def client(self, part: str = "llm", **more: Any) -> Iterator[OpenAI]:
        settings: dict[str, Any] = {
            "data_directory": self.data,
            "endpoint_url": self.emulator.url,
            "region": "us-east-1",
            "model_id": PROFILE,
            "batch_jobs_location": f"s3://{BUCKET}/{part}/",
            "batch_jobs_role": "arn:aws:iam::123456789012:role/batch",
            "batch_jobs_endpoint_url": self.s3.meta.endpoint_url,
            "batch_jobs_least": 3,
            "batch_jobs_poll": 0.1,
            **more,
        }
        rig = Rig(model=None, settings=Settings(_env_file=None, **settings))
        with (
            serving(rig.app()) as url,
            OpenAI(base_url=f"{url}/v1", api_key="key", max_retries=0) as client,
        ):
            yield client

    def calls(self) -> int:
        """Return how many calls the emulator's model has had, without those of jobs."""
        found = self.emulator.admin("GET", "requests", params={"operation": "InvokeModel"})
        return int(found["received"])

    def objects(self) -> list[str]:
        found = self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return [entry["Key"] for entry in found]


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    with s3_server() as url:
        client = s3_client(url)
        make_bucket(client, BUCKET)
        yield client
        client.close()


@pytest.fixture
def world(s3: Any, tmp_path: Path) -> Iterator[World]:
    config = EmulatorConfig(
        s3_endpoint=s3.meta.endpoint_url, batch_seconds=0, batch_least_records=1, read_words=False
    )
    with emulating(config) as emulator:
        yield World(emulator, s3, tmp_path)


def row(custom_id: str, body: dict[str, Any], url: str = "/v1/generate") -> dict[str, Any]:
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": body}


def asked(*texts: str, **more: Any) -> bytes:
    rows = [
        row(f"r{n}", {"prompt": text, "temperature": 0, **more}) for n, text in enumerate(texts)
    ]
    return lines(*rows)


def lines(*rows: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(item).encode() + b"\n" for item in rows)


def begun(client: OpenAI, content: bytes, engine: str = "auto", url: str = "/v1/generate") -> Any:
    file = client.files.create(file=("rows.jsonl", content), purpose="batch")
    return client.batches.create(
        input_file_id=file.id,
        endpoint=url,  # type: ignore[arg-type]
        completion_window="24h",
        extra_body={"engine": engine},
    )


def ended(client: OpenAI, batch: Any) -> Any:
    until = time.monotonic() + PATIENCE
    while batch.status not in ("completed", "failed", "expired", "cancelled"):
        assert time.monotonic() < until, batch
        time.sleep(0.05)
        batch = client.batches.retrieve(batch.id)
    return batch


def ran(client: OpenAI, content: bytes, engine: str = "auto", url: str = "/v1/generate") -> Any:
    return ended(client, begun(client, content, engine, url))


def written(client: OpenAI, file_id: str | None) -> dict[str, Any]:
    if file_id is None:
        return {}
    found = [json.loads(line) for line in client.files.content(file_id).text.splitlines()]
    return {item["custom_id"]: item["response"] for item in found}


def own(body: dict[str, Any]) -> dict[str, Any]:
    """Return an answer without the members that differ in every answer."""
    return {k: v for k, v in body.items() if k not in ("id", "latency_ms", "created")}


def test_rows_with_pictures_are_answered_by_a_batch_job_as_by_their_endpoint(world: World) -> None:
    bodies: list[dict[str, Any]] = [
        {"prompt": "What is it?", "images": [b64(ROCKET)], "temperature": 0},
        {"prompt": "Why is that?", "temperature": 0},
        {"prompt": "What would it be?", "temperature": 0, "max_gen_len": 9},
        {"prompt": "?", "images": ["!"]},
    ]
    with world.client() as client:
        batch = ran(client, lines(*(row(f"r{n}", body) for n, body in enumerate(bodies))))
        output = written(client, batch.output_file_id)
        failed = written(client, batch.error_file_id)
        calls = world.calls()
        now = [client.post("/generate", body=body, cast_to=object) for body in bodies[:3]]

    assert batch.status == "completed"
    assert batch.engine["name"] == "bedrock"
    assert batch.engine["job"]["status"] == "Completed"
    assert calls == 0, "only the job called the model"
    assert output.keys() == {"r0", "r1", "r2"}
    for n, answer in enumerate(now):
        assert own(output[f"r{n}"]["body"]) == own(answer)  # type: ignore[arg-type]
    assert failed["r3"]["status_code"] == 422
    counts = batch.request_counts
    assert (counts.total, counts.completed, counts.failed) == (4, 3, 1)
    costs = [answer["body"]["cost_usd"]["total"] for answer in output.values()]
    assert batch.cost_usd == pytest.approx(sum(costs))
    assert world.objects() == [], "nothing is left in the bucket"


def test_chat_completions_in_converses_form(world: World) -> None:
    content = lines(*(row(f"r{n}", CHAT, "/v1/chat/completions") for n in range(3)))
    with world.client(dialect="converse") as client:
        batch = ran(client, content, "bedrock", "/v1/chat/completions")
        output = written(client, batch.output_file_id)
    assert batch.engine["job"]["status"] == "Completed"
    assert {answer["body"]["object"] for answer in output.values()} == {"chat.completion"}
    assert len(output) == 3


@pytest.mark.parametrize(
    ("part", "status"),
    [
        ("partially-completed", "PartiallyCompleted"),
        ("stopped-by-aws", "Stopped"),
        ("record-errors", "Completed"),
    ],
)
def test_rows_that_the_job_left_unanswered_are_sent_as_single_calls(
    world: World, part: str, status: str
) -> None:
    with world.client(part) as client:
        batch = ran(client, asked("One?", "Two?", "Three?", "Four?"))
        output = written(client, batch.output_file_id)
    assert batch.status == "completed"
    assert batch.engine["job"]["status"] == status
    assert batch.request_counts.completed == len(output) == 4
    assert world.calls() == (1 if part == "record-errors" else 2)


@pytest.mark.parametrize("part", ["no-bucket-access", "internal-failure", "expired"])
def test_rows_of_a_failed_job_fall_back_to_our_own_queue(world: World, part: str) -> None:
    with world.client(part) as client:
        batch = ran(client, asked("One?", "Two?", "Three?"))
    assert batch.status == "completed"
    assert batch.request_counts.completed == 3
    assert batch.engine["name"] == "own"
    assert batch.engine["job"]["message"] in batch.engine["reason"]


def test_a_failed_job_fails_the_batch_that_asked_for_it(world: World) -> None:
    with world.client("internal-failure") as client:
        batch = ran(client, asked("One?", "Two?", "Three?"), "bedrock")
    assert batch.status == "failed"
    (fault,) = batch.errors.data
    assert fault.code == "batch_engine_unavailable"
    assert "internal error" in fault.message
    assert world.calls() == 0


def test_a_lost_reply_creates_no_second_job(world: World) -> None:
    fault = {"fault": "drop-first-2", "operation": "CreateModelInvocationJob"}
    world.emulator.admin("POST", "faults", json=fault)
    with world.client() as client:
        batch = ran(client, asked("One?", "Two?", "Three?"), "bedrock")
    jobs = world.emulator.client("bedrock").list_model_invocation_jobs()
    assert batch.status == "completed"
    assert [job["jobArn"] for job in jobs["invocationJobSummaries"]] == [batch.engine["job"]["id"]]


def test_a_restarted_service_finds_its_job(s3: Any, tmp_path: Path) -> None:
    config = EmulatorConfig(
        s3_endpoint=s3.meta.endpoint_url, batch_seconds=3, batch_least_records=1, read_words=False
    )
    with emulating(config) as emulator:
        world = World(emulator, s3, tmp_path)
        with world.client() as client:
            batch = begun(client, asked("One?", "Two?", "Three?"), "bedrock")
            started(client, batch)
        assert not claimed_by(tmp_path), "the next service would wait for the claim to expire"
        with world.client() as client:
            batch = ended(client, client.batches.retrieve(batch.id))
        jobs = emulator.client("bedrock").list_model_invocation_jobs()["invocationJobSummaries"]
        assert batch.status == "completed"
        assert batch.request_counts.completed == 3
        assert len(jobs) == 1
        assert world.calls() == 0


def claimed_by(data: Path) -> str:
    """Return which process holds the only open batch."""

    async def read() -> str:
        async with open_sqlite_queue(data / "work.sqlite3") as queue:
            (group,) = await queue.active(WorkKind.BATCH_ROW)
            return record.read(group).claimed_by

    return asyncio.run(read())


def started(client: OpenAI, batch: Any) -> None:
    until = time.monotonic() + PATIENCE
    while (client.batches.retrieve(batch.id).engine["job"] or {}).get("id") is None:  # type: ignore[attr-defined]
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_cancelled_batch_stops_its_job_and_delivers_its_answers(s3: Any, tmp_path: Path) -> None:
    config = EmulatorConfig(
        s3_endpoint=s3.meta.endpoint_url, batch_seconds=6, batch_least_records=1, read_words=False
    )
    with emulating(config) as emulator:
        world = World(emulator, s3, tmp_path)
        with world.client() as client:
            batch = begun(client, asked("One?", "Two?", "Three?"), "bedrock")
            started(client, batch)
            client.batches.cancel(batch.id)
            batch = ended(client, batch)
        (job,) = emulator.client("bedrock").list_model_invocation_jobs()["invocationJobSummaries"]
    assert batch.status == "cancelled"
    assert job["status"] == "Stopped"


def begun_and_over(world: World, client: OpenAI, content: bytes) -> Any:
    """Return a batch whose job has ended, once the emulator's faults have expired."""
    unseen = {"fault": "throttle", "operation": "GetModelInvocationJob"}
    world.emulator.admin("POST", "faults", json=unseen)
    batch = begun(client, content, "bedrock")
    started(client, batch)
    jobs = world.emulator.client("bedrock").list_model_invocation_jobs
    until = time.monotonic() + PATIENCE
    while not jobs()["invocationJobSummaries"][0]["status"].endswith("Completed"):
        assert time.monotonic() < until
        time.sleep(0.05)
    return batch


@pytest.mark.parametrize(
    ("status", "fault", "code"),
    [
        ("failed", ["input_file_deleted"], "batch_input_gone"),
        ("cancelled", [], "batch_cancelled"),
    ],
)
def test_answers_of_a_job_are_delivered_even_if_its_batch_ended_before(
    world: World, status: str, fault: list[str], code: str
) -> None:
    with world.client("partially-completed") as client:
        batch = begun_and_over(world, client, asked("One?", "Two?", "Three?", "Four?"))
        if status == "cancelled":
            client.batches.cancel(batch.id)
        client.files.delete(batch.input_file_id)
        world.emulator.admin("DELETE", "faults")
        batch = ended(client, batch)
        output = written(client, batch.output_file_id)
        errors = client.files.content(batch.error_file_id).text.splitlines()
        files = {file.id for file in client.files.list()}
    assert batch.status == status
    assert [told.code for told in (batch.errors.data if batch.errors else [])] == fault
    assert output.keys() == {"r0", "r1"}
    assert [json.loads(line)["custom_id"] for line in errors] == ["r2", "r3"]
    assert {json.loads(line)["error"]["code"] for line in errors} == {code}
    assert world.calls() == 0
    assert files == {batch.output_file_id, batch.error_file_id}


def test_deleting_one_rows_picture_leaves_the_other_rows_answers(world: World) -> None:
    with world.client() as client:
        picture = client.files.create(file=("a.jpg", ROCKET), purpose="vision")
        prompts = ["One?", "Two?", "Three?"]
        bodies: list[dict[str, Any]] = [{"prompt": text, "temperature": 0} for text in prompts]
        shown = bodies[0] | {"images": [{"file_id": picture.id}]}
        rows = [row(f"r{n}", body) for n, body in enumerate([shown, *bodies[1:]])]
        batch = begun_and_over(world, client, lines(*rows))
        client.files.delete(picture.id)
        world.emulator.admin("DELETE", "faults")
        batch = ended(client, batch)
        output = written(client, batch.output_file_id)
        calls = world.calls()
        now = [client.post("/generate", body=body, cast_to=object) for body in bodies[1:]]
    assert batch.status == "completed"
    assert calls == 0
    assert output["r0"]["body"]["images"] == []
    assert output["r0"]["body"]["generation"]
    for n, answer in enumerate(now, 1):
        assert own(output[f"r{n}"]["body"]) == own(answer)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("more", "url", "said"),
    [
        ({"model_id": IMPORTED}, "/v1/generate", "not of imported models"),
        ({"batch_jobs_location": None}, "/v1/generate", "LLAMA_VISION_BATCH_JOBS_LOCATION"),
        ({}, "/v1/tasks/caption", "only rows of"),
    ],
)
def test_an_impossible_job_is_refused_with_the_reason(
    world: World, more: dict[str, Any], url: str, said: str
) -> None:
    with world.client(**more) as client:
        file = client.files.create(file=("rows.jsonl", asked("One?")), purpose="batch")
        with pytest.raises(APIStatusError, match=said):
            client.batches.create(
                input_file_id=file.id,
                endpoint=url,  # type: ignore[arg-type]
                completion_window="24h",
                extra_body={"engine": "bedrock"},
            )


@pytest.mark.parametrize(("engine", "status"), [("auto", "completed"), ("bedrock", "failed")])
def test_a_missing_bucket_is_reported(world: World, engine: str, status: str) -> None:
    with world.client(batch_jobs_location="s3://nobodys-bucket/llm/") as client:
        batch = ran(client, asked("One?", "Two?", "Three?"), engine)
    assert batch.status == status
    told = batch.engine["reason"] or batch.errors.data[0].message
    assert "LLAMA_VISION_BATCH_JOBS_LOCATION" in told


def test_too_few_rows_are_refused_where_a_job_was_requested(world: World) -> None:
    with world.client() as client:
        batch = ran(client, asked("One?", "Two?"), "bedrock")
    assert batch.status == "failed"
    assert "at least" in batch.errors.data[0].message


def test_otherwise_too_few_rows_are_sent_as_single_calls_with_the_reason(world: World) -> None:
    with world.client() as client:
        few = ran(client, asked("One?", "Two?"))
        chosen = ran(client, asked("One?", "Two?", "Three?"), "own")
    assert few.status == chosen.status == "completed"
    assert few.engine["name"] == chosen.engine["name"] == "own"
    assert "at least" in few.engine["reason"]
    assert "the caller chose" in chosen.engine["reason"]
    assert world.calls() == 5


def test_rows_that_are_not_plain_generations_are_sent_as_single_calls(world: World) -> None:
    each: dict[str, Any] = {
        "prompt": "?",
        "images": [b64(ROCKET), b64(ROCKET)],
        "image_strategy": "each",
    }
    plain: list[dict[str, Any]] = [{"prompt": f"{n}?", "temperature": 0} for n in range(3)]
    content = lines(*(row(f"r{n}", body) for n, body in enumerate((*plain, each))))
    with world.client() as client:
        batch = ran(client, content)
    assert batch.request_counts.completed == 4
    assert batch.engine["name"] == "bedrock"
    assert world.calls() == 2
