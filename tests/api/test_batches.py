"""`/v1/batches` with the openai SDK: intake, limits, callers, and how batches end."""

import asyncio
import errno
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from app.adapters.encryption import root_file
from app.adapters.files import directory
from app.adapters.queue.sqlite import open_sqlite_queue
from app.domain.access import ANONYMOUS, Scope
from app.domain.errors import ModelThrottledError, UpstreamTimeoutError
from app.domain.model import Dialect
from app.services.batches import record
from app.services.concurrency.background import in_background
from app.settings import Settings
from tests.support.fakes.ports import FakeVisionModel
from tests.support.files.pictures import ROCKET, b64
from tests.support.servers.uvicorn import serving
from tests.support.service.access import add_key, bearer, guarded
from tests.support.service.application import Rig
from tests.support.service.emulated import running

MODEL = "us.meta.llama3-2-11b-instruct-v1:0"
PATIENCE = 60.0


def row(custom_id: str, body: dict[str, Any], url: str = "/v1/generate") -> dict[str, Any]:
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": body}


def lines(*rows: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(item).encode() + b"\n" for item in rows)


@contextmanager
def served(data: Path, model: Any = None, **settings: Any) -> Iterator[OpenAI]:
    chosen = Settings(_env_file=None, data_directory=data, **settings)
    rig = Rig(model or FakeVisionModel(), settings=chosen)
    with serving(rig.app()) as url, client_of(url) as client:
        yield client


@contextmanager
def client_of(url: str, key: str = "key") -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as client:
        yield client


@pytest.fixture
def client(tmp_path) -> Iterator[OpenAI]:
    with served(tmp_path) as client:
        yield client


def begun(client: OpenAI, content: bytes, endpoint: str = "/v1/generate", **more: Any) -> Any:
    file = client.files.create(file=("rows.jsonl", content), purpose="batch")
    return client.batches.create(
        input_file_id=file.id,
        endpoint=endpoint,  # type: ignore[arg-type]
        completion_window="24h",
        **more,
    )


def ended(client: OpenAI, batch: Any) -> Any:
    until = time.monotonic() + PATIENCE
    while batch.status not in ("completed", "failed", "expired", "cancelled"):
        assert time.monotonic() < until, batch
        time.sleep(0.02)
        batch = client.batches.retrieve(batch.id)
    return batch


def written(client: OpenAI, file_id: str | None) -> list[dict[str, Any]]:
    if file_id is None:
        return []
    return [json.loads(line) for line in client.files.content(file_id).text.splitlines()]


def faults(batch: Any) -> list[tuple[str, int | None]]:
    return [(fault.code, fault.line) for fault in batch.errors.data]


def test_a_batch_with_pictures_answers_each_row_once(client):
    picture = client.files.create(file=("p.jpg", ROCKET), purpose="vision").id
    content = lines(
        row("words", {"prompt": "Why?"}),
        row("bytes", {"prompt": "What?", "images": [b64(ROCKET)]}),
        row("file", {"prompt": "What?", "images": [{"file_id": picture}]}),
        row("none", {"prompt": "What?", "images": ["!"]}),
    )
    batch = ended(client, begun(client, content, metadata={"of": "tests"}))

    assert batch.status == "completed"
    assert batch.metadata == {"of": "tests"}
    counts = batch.request_counts
    assert (counts.total, counts.completed, counts.failed) == (4, 3, 1)
    output, failed = written(client, batch.output_file_id), written(client, batch.error_file_id)
    assert [item["custom_id"] for item in output] == ["words", "bytes", "file"]
    assert {item["response"]["status_code"] for item in output} == {200}
    assert output[2]["response"]["body"]["images"][0]["received"]["bytes"] == len(ROCKET)
    assert [(item["custom_id"], item["response"]["status_code"]) for item in failed] == [
        ("none", 422)
    ]
    bodies = [item["response"]["body"] for item in output]
    assert batch.usage is not None
    assert batch.usage.output_tokens == sum(body["generation_token_count"] for body in bodies)
    assert batch.cost_usd == pytest.approx(sum(body["cost_usd"]["total"] for body in bodies))
    assert batch in list(client.batches.list())


async def test_the_asynchronous_sdk_works_too(tmp_path):
    rig = Rig(settings=Settings(_env_file=None, data_directory=tmp_path))
    chat = {"model": MODEL, "messages": [{"role": "user", "content": "Why?"}]}
    # Python's `splitlines` splits at characters that do not end a JSON line.
    content = lines(*(row(f"{n}\u2028\x85", chat, "/v1/chat/completions") for n in range(5)))
    with serving(rig.app()) as url:
        async with AsyncOpenAI(base_url=f"{url}/v1", api_key="key", max_retries=0) as client:
            file = await client.files.create(file=("rows.jsonl", content), purpose="batch")
            batch = await client.batches.create(
                input_file_id=file.id,
                endpoint="/v1/chat/completions",
                completion_window="24h",
                output_expires_after={"anchor": "created_at", "seconds": 7200},
            )
            async with asyncio.timeout(PATIENCE):
                while batch.status != "completed":
                    await asyncio.sleep(0.02)
                    batch = await client.batches.retrieve(batch.id)
            assert batch.output_file_id is not None
            output = (await client.files.content(batch.output_file_id)).text.splitlines()
            kept = await client.files.retrieve(batch.output_file_id)

    bodies = [json.loads(line)["response"]["body"] for line in output]
    assert [body["object"] for body in bodies] == ["chat.completion"] * 5
    assert {json.loads(line)["custom_id"][1:] for line in output} == {"\u2028\x85"}
    assert kept.expires_at is not None
    assert kept.expires_at - kept.created_at == 7200


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        ("/v1/generate", {"prompt": "Why?"}),
        ("/v1/generate", {"prompt": "Why?", "temperature": 7}),
        ("/v1/chat/completions", {"model": "another", "messages": []}),
        ("/v1/tasks/caption", {"images": [b64(ROCKET)]}),
        ("/v1/tasks/caption", {"images": []}),
    ],
)
def test_a_rows_body_is_byte_for_byte_what_the_endpoint_answers(tmp_path, endpoint, body):
    with served(tmp_path) as client:
        batch = ended(client, begun(client, lines(row("a", body, endpoint)), endpoint))
        raw = client.files.content(batch.output_file_id or batch.error_file_id).content
        (line,) = [json.loads(line) for line in raw.splitlines()]
        reply = httpx.post(
            str(client.base_url).removesuffix("/v1/") + endpoint,
            json=body,
            headers={"X-Request-Id": line["response"]["request_id"]},
        )

    assert line["response"]["status_code"] == reply.status_code
    assert _without_chance(line["response"]["body"]) == _without_chance(reply.json())
    start = raw.index(b'"body":') + len(b'"body":')
    own = raw[start : raw.rindex(b'},"error":null}')]
    assert own[:1] == b"{"
    if reply.status_code >= 400:
        assert own == reply.content


def test_numbers_out_of_range_are_refused_by_the_endpoint_itself(client):
    bodies = [
        '{"prompt": "Why?", "temperature": 1e400}',
        '{"prompt": "Why?", "max_gen_len": 1' + "0" * 30 + "}",
        '{"prompt": "Why?", "images": [' + "1," * 10_000 + "1]}",
    ]
    content = "".join(
        f'{{"custom_id": "{n}", "method": "POST", "url": "/v1/generate", "body": {body}}}\n'
        for n, body in enumerate(bodies)
    )
    batch = ended(client, begun(client, content.encode()))
    failed = written(client, batch.error_file_id)

    assert [item["custom_id"] for item in failed] == ["0", "1", "2"]
    for item, body in zip(failed, bodies, strict=True):
        reply = httpx.post(
            str(client.base_url).removesuffix("/v1/") + "/v1/generate",
            content=body,
            headers={
                "Content-Type": "application/json",
                "X-Request-Id": item["response"]["request_id"],
            },
        )
        assert reply.status_code == 422
        assert item["response"] == {
            "status_code": 422,
            "request_id": item["response"]["request_id"],
            "body": reply.json(),
        }


def _without_chance(body: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in body.items() if k not in ("id", "latency_ms", "created")}


DEEP = json.dumps(row("a", {"prompt": "x"})).replace('"x"', "[" * 300 + "]" * 300)

BROKEN = [
    (b"{", "invalid_json_line"),
    (b"[]", "invalid_json_line"),
    (json.dumps(row("a", {}) | {"metod": 1}).encode(), "unknown_field"),
    (json.dumps(row("a", {"prompt": "x", "promt": "y"})).encode(), "unknown_field"),
    (json.dumps(row("", {})).encode(), "invalid_custom_id"),
    (json.dumps(row("a", {}) | {"method": "GET"}).encode(), "invalid_method"),
    (json.dumps(row("a", {}, "/v1/chat/completions")).encode(), "mismatched_endpoint"),
    (json.dumps(row("a", {}) | {"body": "x"}).encode(), "invalid_body"),
    (json.dumps(row("a", {"prompt": "x", "stream": True})).encode(), "stream_in_batch"),
    (json.dumps(row("a", {"images": [{"file_id": "file-none"}]})).encode(), "file_not_found"),
    (json.dumps(row("good", {"prompt": "x"})).encode(), "duplicate_custom_id"),
    (DEEP.encode(), "invalid_json_line"),
]


@pytest.mark.parametrize(("line", "code"), BROKEN)
def test_a_broken_row_fails_the_batch_by_its_line_before_anything_is_paid_for(tmp_path, line, code):
    model = FakeVisionModel()
    with served(tmp_path, model) as client:
        good = lines(row("good", {"prompt": "x"}))
        batch = ended(client, begun(client, good + line + b"\n"))

    assert batch.status == "failed"
    assert faults(batch) == [(code, 2)]
    assert model.requests == []


def test_an_error_names_its_line_and_field(client):
    rows = (row("a", {"prompt": "x", "promt": "y"}), row("b", {}) | {"method": "GET"})
    batch = ended(client, begun(client, lines(*rows)))

    assert [fault.message for fault in batch.errors.data] == [
        "line 1: body.promt: there is no such field",
        "line 2: method: give POST",
    ]


def test_broken_rows_are_listed_up_to_a_hundred(client):
    batch = ended(client, begun(client, b"{\n" * 250))

    assert faults(batch) == [("invalid_json_line", n) for n in range(1, 101)]


def test_an_input_without_rows_or_with_too_many_fails(tmp_path):
    with served(tmp_path, max_batch_rows=2) as client:
        empty = ended(client, begun(client, b"\n\n"))
        many = ended(client, begun(client, lines(*(row(str(n), {}) for n in range(3)))))

    assert faults(empty) == [("empty_file", None)]
    assert faults(many) == [("too_many_rows", 3)]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"endpoint": "/v1/embeddings"}, "invalid_parameter"),
        ({"endpoint": "/v1/tasks/knit"}, "invalid_parameter"),
        ({"endpoint": "/v1/tasks/caption/upload"}, "invalid_parameter"),
        ({"completion_window": "8d"}, "invalid_parameter"),
        ({"completion_window": "soon"}, "invalid_parameter"),
        ({"output_expires_after": {"seconds": 7200}}, "invalid_parameter"),
        (
            {"output_expires_after": {"anchor": "created_at", "seconds": 60}},
            "invalid_parameter",
        ),
        ({"input_file_id": "file-none"}, "file_not_found"),
        ({"input_file_id": "vision"}, "file_purpose"),
        ({"colour": "red"}, "unknown_field"),
    ],
)
def test_an_invalid_batch_is_refused(client, change, code):
    files = client.files
    rows = files.create(file=("r", lines(row("a", {"prompt": "x"}))), purpose="batch")
    picture = files.create(file=("p.jpg", ROCKET), purpose="vision")
    body = {"input_file_id": rows.id, "endpoint": "/v1/generate", "completion_window": "24h"}
    body |= change
    if body["input_file_id"] == "vision":
        body["input_file_id"] = picture.id

    reply = httpx.post(f"{client.base_url}batches", json=body)

    assert reply.json()["error"]["code"] == code, reply.text


def test_an_unknown_batch_is_not_found(client):
    for ask in (client.batches.retrieve, client.batches.cancel):
        with pytest.raises(openai.NotFoundError):
            ask("batch_none")


@pytest.mark.parametrize("path", ["batches", "files", "jobs", "webhooks"])
def test_a_page_after_an_unknown_id_is_refused(client, path):
    reply = httpx.get(str(client.base_url.join(path)), params={"after": "batch_none"})

    problem = reply.json()
    assert problem.get("error", problem)["code"] == "invalid_parameter"
    assert "after" in reply.text


class Held(FakeVisionModel):
    """Answers when released, and records the order of its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.let = asyncio.Event()
        self.asked: list[str] = []

    async def generate(self, request: Any) -> Any:
        self.asked.append(request.turns[-1].text)
        while not self.let.is_set():  # noqa: ASYNC110 - set by another thread
            await asyncio.sleep(0.01)
        return await super().generate(request)


def until_asked(model: Held, count: int) -> None:
    until = time.monotonic() + PATIENCE
    while len(model.asked) < count:
        assert time.monotonic() < until, model.asked
        time.sleep(0.01)


class Noticing(FakeVisionModel):
    """Records the prompts that came as background work."""

    def __init__(self) -> None:
        super().__init__()
        self.unhurried: list[str] = []

    async def generate(self, request: Any) -> Any:
        if in_background():
            self.unhurried.append(request.turns[-1].text)
        return await super().generate(request)


def test_only_batch_rows_are_marked_as_yielding_to_interactive_requests(tmp_path):
    model = Noticing()
    with served(tmp_path, model) as client:
        ended(client, begun(client, lines(row("a", {"prompt": "row"}))))
        httpx.post(str(client.base_url.join("generate")), json={"prompt": "person"})

    assert len(model.requests) == 2
    assert model.unhurried == ["row"]


def test_a_cancelled_batch_delivers_what_was_answered_and_names_the_rest(tmp_path):
    model = Held()
    with served(tmp_path, model, batch_concurrency=2) as client:
        content = lines(*(row(str(n), {"prompt": f"row {n}"}) for n in range(20)))
        batch = begun(client, content)
        until_asked(model, 2)
        assert client.batches.cancel(batch.id).status == "cancelling"
        model.let.set()
        batch = ended(client, batch)
        with pytest.raises(openai.ConflictError):
            client.batches.cancel(batch.id)
        output, rest = written(client, batch.output_file_id), written(client, batch.error_file_id)

    assert batch.status == "cancelled"
    # Rows that are already leased may still start for a moment.
    assert 2 <= len(output) <= 4
    assert len(output) + len(rest) == 20
    assert {item["error"]["code"] for item in rest} == {"batch_cancelled"}
    assert len({item["custom_id"] for item in output + rest}) == 20


def test_a_deleted_input_ends_the_batch_with_what_it_has(tmp_path):
    model = Held()
    with served(tmp_path, model, batch_concurrency=2) as client:
        content = lines(*(row(str(n), {"prompt": f"row {n}"}) for n in range(20)))
        batch = begun(client, content)
        until_asked(model, 2)
        client.files.delete(batch.input_file_id)
        model.let.set()
        batch = ended(client, batch)
        output, rest = written(client, batch.output_file_id), written(client, batch.error_file_id)

    assert batch.status == "failed"
    assert faults(batch) == [("input_file_deleted", None)]
    assert len(output) >= 2
    assert len({item["custom_id"] for item in output + rest}) == 20
    assert {item["error"]["code"] for item in rest} == {"batch_input_gone"}


async def end_window(folder: Path, owner: str, batch_id: str) -> None:
    """Set the end of a batch's window to now, in the service's own file."""
    async with open_sqlite_queue(folder / "work.sqlite3") as queue:
        while True:
            kept = await queue.group(owner, batch_id)
            assert kept is not None
            over = replace(record.read(kept), expires_at=time.time())
            if await queue.change(record.group(over)):
                return


def test_rows_that_start_together_share_reads_of_their_batch(client, monkeypatch):
    looks: list[str] = []
    facts = directory.DirectoryFiles.facts

    async def counted(files: directory.DirectoryFiles, owner: str, file_id: str) -> bytes | None:
        looks.append(file_id)
        return await facts(files, owner, file_id)

    monkeypatch.setattr(directory.DirectoryFiles, "facts", counted)
    content = lines(*(row(str(n), {"prompt": f"{n}?"}) for n in range(200)))
    batch = ended(client, begun(client, content))

    assert batch.request_counts.completed == 200
    assert looks.count(batch.input_file_id) < 100


def test_a_full_disk_delays_a_batch_without_losing_or_repeating_a_row(tmp_path, monkeypatch):
    model, full = Held(), threading.Event()
    write = directory._write_all

    def written_unless_full(descriptor: int, piece: bytes) -> None:
        if full.is_set():
            raise OSError(errno.ENOSPC, "No space left on device")
        write(descriptor, piece)

    monkeypatch.setattr(directory, "_write_all", written_unless_full)
    with served(tmp_path, model) as client:
        batch = begun(client, lines(*(row(str(n), {"prompt": f"row {n}"}) for n in range(5))))
        until_asked(model, 5)
        full.set()
        model.let.set()
        until = time.monotonic() + PATIENCE
        while client.batches.retrieve(batch.id).status != "finalizing":
            assert time.monotonic() < until
            time.sleep(0.02)
        with pytest.raises(openai.APIStatusError, match="no room"):
            client.files.create(file=("more.jsonl", b"{}"), purpose="batch")
        full.clear()
        batch = ended(client, batch)
        output = written(client, batch.output_file_id)

    assert batch.status == "completed"
    assert [item["custom_id"] for item in output] == [str(n) for n in range(5)]
    assert len(model.asked) == 5


def test_an_expired_batch_delivers_what_was_answered_and_names_the_rest(tmp_path):
    model = Held()
    with served(tmp_path, model, batch_concurrency=2) as client:
        content = lines(*(row(str(n), {"prompt": f"row {n}"}) for n in range(20)))
        batch = begun(client, content)
        until_asked(model, 2)
        asyncio.run(end_window(tmp_path, ANONYMOUS.id, batch.id))
        until = time.monotonic() + PATIENCE
        while (batch := client.batches.retrieve(batch.id)).status != "finalizing":
            assert time.monotonic() < until, batch
            time.sleep(0.02)
        model.let.set()
        batch = ended(client, batch)
        output, rest = written(client, batch.output_file_id), written(client, batch.error_file_id)
        with pytest.raises(openai.ConflictError):
            client.batches.cancel(batch.id)

    assert batch.status == "expired"
    assert batch.expires_at <= batch.finalizing_at <= batch.expired_at
    assert (batch.completed_at, batch.failed_at, batch.cancelled_at) == (None, None, None)
    assert 2 <= len(output) <= 4
    counts = batch.request_counts
    assert (counts.total, counts.completed, counts.failed) == (20, len(output), 0)
    assert {item["error"]["code"] for item in rest} == {"batch_expired"}
    assert sorted(int(item["custom_id"]) for item in output + rest) == list(range(20))
    assert len(model.asked) == len(output)


def test_a_batch_waits_out_a_cold_start_longer_than_a_requests_timeout(emulator_url, tmp_path):
    # Longer than a request's timeout and than all its attempts.
    few = {"request_timeout": 1, "data_directory": tmp_path}
    with (
        running(emulator_url, "loading-for-3s", Dialect.CHAT, **few) as service,
        client_of(service.url) as client,
    ):
        content = lines(*(row(str(n), {"prompt": f"row {n}"}) for n in range(40)))
        batch = ended(client, begun(client, content))
        calls = service.seen()

    counts = batch.request_counts
    assert (batch.status, counts.completed, counts.failed) == ("completed", 40, 0)
    answered = [call for call in calls if call["status"] == 200]
    assert len(answered) == 40
    assert len(calls) > 40


def test_rows_in_the_answer_cache_cost_nothing(tmp_path):
    model = FakeVisionModel()
    content = lines(*(row(str(n), {"prompt": f"row {n % 5}", "temperature": 0}) for n in range(10)))
    with served(tmp_path, model, cache="on") as client:
        first = ended(client, begun(client, content))
        second = ended(client, begun(client, content))
        paid = written(client, first.output_file_id)
        output = written(client, second.output_file_id)

    assert len(model.requests) == 5
    assert (second.request_counts.completed, second.cost_usd, second.unpriced_rows) == (10, 0, 0)
    assert second.usage.total_tokens == 0
    assert {item["response"]["body"]["cost_usd"]["total"] for item in output} == {0}
    assert {item["response"]["body"]["cached"] for item in output} == {True}
    assert first.cost_usd > 0
    assert first.cost_usd == pytest.approx(
        sum(item["response"]["body"]["cost_usd"]["total"] for item in paid)
    )


def test_one_callers_batches_run_in_order(tmp_path):
    model = FakeVisionModel()
    with served(tmp_path, model, batch_concurrency=1) as client:
        batches = [
            begun(client, lines(*(row(str(n), {"prompt": f"{b} {n}"}) for n in range(4))))
            for b in range(3)
        ]
        for batch in batches:
            assert ended(client, batch).status == "completed"

    asked = [request.turns[-1].text for request in model.requests]
    first = [asked.index(f"{b} 0") for b in range(3)]
    assert first == sorted(first)


class Throttled(FakeVisionModel):
    """Is throttled a few times, then answers."""

    def __init__(self, error: Exception, times: int) -> None:
        super().__init__()
        self.error, self.left = error, times

    async def generate(self, request: Any) -> Any:
        if self.left:
            self.left -= 1
            raise self.error
        return await super().generate(request)


def test_a_row_that_fails_for_a_temporary_reason_is_retried(tmp_path):
    # One failure more than a call's own retries cover.
    model = Throttled(ModelThrottledError("slow down"), 5)
    with served(tmp_path, model) as client:
        batch = ended(client, begun(client, lines(row("a", {"prompt": "x"}))))

    assert (batch.request_counts.completed, batch.request_counts.failed) == (1, 0)


def test_a_row_that_may_have_been_billed_is_not_retried(tmp_path):
    model = Throttled(UpstreamTimeoutError("no answer"), 99)
    with served(tmp_path, model) as client:
        batch = ended(client, begun(client, lines(row("a", {"prompt": "x"}))))
        (line,) = written(client, batch.error_file_id)

    assert line["response"]["body"]["code"] == "upstream_timeout"
    assert model.left == 98


def test_rows_wait_for_their_callers_rate_limits_and_never_fail_by_them(tmp_path):
    path = tmp_path / "keys.json"
    key = add_key(path, *Scope, limits={"generate:requests": "3/second"})
    rig = guarded(path, data_directory=tmp_path / "data")
    with serving(rig.app()) as url, client_of(url, key) as client:
        content = lines(*(row(str(n), {"prompt": "x"}) for n in range(8)))
        batch = ended(client, begun(client, content))

    assert (batch.request_counts.completed, batch.request_counts.failed) == (8, 0)


def test_a_callers_batches_are_private_and_need_its_scopes(tmp_path):
    path = tmp_path / "keys.json"
    ann, bob = add_key(path, *Scope), add_key(path, *Scope)
    poor = add_key(path, Scope.FILES, Scope.BATCHES)
    rig = guarded(path, data_directory=tmp_path / "data")
    with serving(rig.app()) as url:
        content = lines(row("a", {"prompt": "x"}))
        with client_of(url, ann) as client:
            batch = ended(client, begun(client, content))
            assert batch.status == "completed"
        with client_of(url, bob) as client:
            assert list(client.batches.list()) == []
            with pytest.raises(openai.NotFoundError):
                client.batches.retrieve(batch.id)
        with client_of(url, poor) as client, pytest.raises(openai.PermissionDeniedError):
            begun(client, content)


def test_rows_of_a_key_revoked_during_the_batch_are_not_answered(tmp_path):
    path = tmp_path / "keys.json"
    key, other = add_key(path, *Scope), add_key(path, *Scope)
    model = Held()
    rig = guarded(path, data_directory=tmp_path / "data", batch_concurrency=1)
    rig.model = model
    with serving(rig.app()) as url, client_of(url, key) as client:
        begun(client, lines(*(row(str(n), {"prompt": "x"}) for n in range(3))))
        until_asked(model, 1)
        kept = json.loads(path.read_text())
        for record in kept["keys"] if isinstance(kept, dict) else kept:
            if record["id"] == key.split("_")[1]:
                record["revoked"] = "2026-01-01T00:00:00Z"
        path.write_text(json.dumps(kept))
        while httpx.get(f"{url}/v1/batches", headers=bearer(key)).status_code != 401:
            time.sleep(0.02)
        model.let.set()
        time.sleep(1.5)
        assert httpx.get(f"{url}/v1/batches", headers=bearer(other)).status_code == 200

    assert len(model.asked) == 1


def test_an_estimate_of_a_batch_calls_no_model(tmp_path):
    model = FakeVisionModel()
    with served(tmp_path, model) as client:
        http = httpx.Client(base_url=str(client.base_url))
        texts = lines(*(row(str(n), {"prompt": "Why?", "max_gen_len": 10}) for n in range(50)))
        file = client.files.create(file=("r", texts), purpose="batch")
        body = {"input_file_id": file.id, "endpoint": "/v1/generate"}
        before = http.post("batches/estimate", json=body).json()
        assert model.requests == []
        ended(client, begun(client, texts))
        after = http.post("batches/estimate", json=body).json()
        captions = lines(
            row("a", {"images": [b64(ROCKET)]}, "/v1/tasks/caption"),
            row("b", {"images": []}, "/v1/tasks/caption"),
        )
        task = client.files.create(file=("r", captions), purpose="batch")
        asked = {"input_file_id": task.id, "endpoint": "/v1/tasks/caption"}
        priced = http.post("batches/estimate", json=asked).json()
        wrong = http.post("batches/estimate", json={**body, "endpoint": "/v1/tasks/caption"})
        http.close()

    assert (before["rows"], before["calls"], before["generation_tokens"]) == (50, 50, 500)
    assert before["prompt_tokens"] > 50
    assert 0 < before["cost_usd"]["least"] < before["cost_usd"]["most"]
    assert (before["seconds"], before["refused"]) == (None, 0)
    assert after["seconds"] is not None
    assert (priced["calls"], priced["refused"], priced["sampled"]) == (1, 1, 2)
    assert priced["tiles"] >= 1
    assert wrong.json()["error"]["code"] == "invalid_parameter"
    assert "line 1" in wrong.json()["error"]["message"]


def test_stored_batches_are_encrypted_when_a_root_key_is_set(tmp_path):
    key = tmp_path / "root"
    root_file.append(key)
    data = tmp_path / "data"
    with served(data, encryption_key_file=key) as client:
        content = lines(
            *(row(f"secret-{n}", {"prompt": f"a secret {n} {'x' * 3000}"}) for n in range(200))
        )
        batch = ended(client, begun(client, content))
        output = written(client, batch.output_file_id)
        back = client.files.content(batch.input_file_id).content

    assert back == content
    assert [item["custom_id"] for item in output] == [f"secret-{n}" for n in range(200)]
    for path in data.rglob("*"):
        assert path.is_dir() or b"secret" not in path.read_bytes(), path


def test_a_process_without_workers_accepts_a_batch_that_another_process_runs(tmp_path):
    door, worker = FakeVisionModel(), FakeVisionModel()
    content = lines(*(row(str(n), {"prompt": "Why?"}) for n in range(5)))
    with served(tmp_path, door, work_on_queue=False) as client:
        batch = begun(client, content)
        until = time.monotonic() + PATIENCE
        while batch.status == "validating":
            assert time.monotonic() < until, batch
            time.sleep(0.02)
            batch = client.batches.retrieve(batch.id)
        assert (batch.status, batch.request_counts.total) == ("in_progress", 5)
        with served(tmp_path, worker):
            assert ended(client, batch).request_counts.completed == 5

    assert (len(door.requests), len(worker.requests)) == (0, 5)
