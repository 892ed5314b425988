"""Jobs: accepted, stored, reported, ended and deleted."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI

from app.api.routing.headers import DECIDING, RequestHeaders
from app.domain.errors import OverloadedError
from app.domain.generation import Completion, ModelRequest
from app.domain.model import Dialect
from app.settings import Settings
from tests.support.clients.sse import events
from tests.support.fakes.ports import FakeVisionModel, GatedVisionModel
from tests.support.files.documents import FOUR_PAGES, blank_pdf
from tests.support.files.pictures import ASTRONAUT, ROCKET, b64
from tests.support.model.scripted import ScriptedVisionModel
from tests.support.servers.uvicorn import serving
from tests.support.service.access import add_key, bearer, guarded
from tests.support.service.application import Rig
from tests.support.service.emulated import Service, running

ASYNC = {"Prefer": "respond-async"}
PATIENT = {"wait": 60}


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(settings=Settings(_env_file=None, data_directory=tmp_path / "data"))


@pytest.fixture
def client(rig: Rig) -> Iterator[httpx.Client]:
    with rig.client() as client:
        yield client


def left(client: httpx.Client, path: str = "/v1/generate", **body: Any) -> dict[str, Any]:
    """Submit a request as a job and return the job."""
    answer = client.post(path, json=body, headers=ASYNC)
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    assert answer.headers["preference-applied"] == "respond-async"
    return job


def ended(client: httpx.Client, job: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/v1/jobs/{job['id']}", params=PATIENT).json()
    return found


def without_own(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer without the members that differ in every answer."""
    return {key: value for key, value in answer.items() if key not in ("id", "latency_ms")}


def test_a_job_has_the_answer_that_the_request_would_have_had(client: httpx.Client) -> None:
    body: dict[str, Any] = {"prompt": "What is it?", "images": [b64(ASTRONAUT)]}
    job = ended(client, left(client, **body))

    assert job["status"] == "completed"
    assert job["response"]["status_code"] == 200
    now = client.post("/v1/generate", json=body).json()
    assert without_own(job["response"]["body"]) == without_own(now)
    assert job["usage"]["generation_tokens"] == now["generation_token_count"]
    assert job["expires_at"] == pytest.approx(job["ended_at"] + 24 * 3600, abs=2)


def test_an_upload_can_be_a_job(client: httpx.Client) -> None:
    answer = client.post(
        "/v1/generate/upload",
        data={"prompt": "What is it?"},
        files={"image": ("rocket.jpg", ROCKET, "image/jpeg")},
        headers=ASYNC,
    )
    job = ended(client, answer.json())
    assert job["response"]["body"]["images"][0]["received"]["width"] == 640


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Why?"}]}),
        ("/v1/responses", {"input": "Why?"}),
        ("/model/us.meta.llama3-2-11b-instruct-v1%3A0/invoke", {"prompt": "Why?"}),
    ],
)
def test_every_dialect_can_be_a_job(client: httpx.Client, path: str, body: dict[str, Any]) -> None:
    if path.startswith("/v1"):
        body = {"model": "us.meta.llama3-2-11b-instruct-v1:0", **body}
    job = ended(client, left(client, path, **body))
    now = client.post(path, json=body)
    assert job["response"]["status_code"] == now.status_code == 200
    assert job["response"]["body"].keys() == now.json().keys()


def test_headers_that_affect_the_answer_are_stored_and_no_key_is(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    key = add_key(keys)
    rig = guarded(keys, data_directory=tmp_path / "data")
    sent = {"Idempotency-Key": "one", "X-Allow-Second-Bill": "true", **ASYNC, **bearer(key)}
    with rig.client() as client:
        jobs = [client.post("/v1/generate", json={"prompt": "?"}, headers=sent) for _ in range(2)]
        got = [
            client.get(job.headers["location"], params=PATIENT, headers=bearer(key)).json()
            for job in jobs
        ]
    first, second = (job["response"]["body"]["id"] for job in got)
    assert first == second, "they share one answer"
    kept = b"".join(path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file())
    assert key.encode() not in kept


def test_every_request_header_is_stored_or_listed_as_not_affecting_the_answer() -> None:
    aliases = {field.alias or "" for field in RequestHeaders.model_fields.values()}
    kept = {alias for alias in aliases if alias.lower() in DECIDING}
    assert aliases - kept == {"X-Request-Timeout", "Prefer", "X-Webhook-Url"}
    assert {"X-Guardrail-Policy", "Cache-Control", "Idempotency-Key"} <= kept


def test_an_invalid_request_is_refused_at_once_and_costs_nothing(
    rig: Rig, client: httpx.Client
) -> None:
    for body in ({"prompt": "x", "tempersture": 1}, {"prompt": 7}, {"prompt": "x", "stream": True}):
        answer = client.post("/v1/generate", json=body, headers=ASYNC)
        assert answer.status_code == 422
        assert answer.json()["errors"]
    answer = client.post(
        "/v1/generate", content=b"{", headers={**ASYNC, "Content-Type": "application/json"}
    )
    assert answer.json()["code"] == "malformed_json"
    assert client.get("/v1/jobs").json()["data"] == []
    assert isinstance(rig.model, FakeVisionModel)
    assert rig.model.requests == []


def test_a_job_may_have_more_pages_than_an_interactive_request(
    rig: Rig, client: httpx.Client
) -> None:
    rig.settings = rig.settings.model_copy(update={"max_pages": 3, "max_job_pages": 4})
    pages = b64(FOUR_PAGES)
    with rig.client() as few:
        refused = few.post("/v1/tasks/ocr", json={"images": [pages]})
        job = ended(few, left(few, "/v1/tasks/ocr", images=[pages]))
        beyond = ended(few, left(few, "/v1/tasks/ocr", images=[pages, pages]))

    assert refused.json()["code"] == "too_many_pages"
    assert len(job["response"]["body"]["images"]) == 4
    assert beyond["response"]["body"]["code"] == "too_many_pages"
    assert "respond-async" not in beyond["response"]["body"]["detail"]


class SlowModel(ScriptedVisionModel):
    """Takes a given time for each page."""

    seconds = 0.0

    async def generate(self, request: ModelRequest) -> Completion:
        completion = await super().generate(request)
        await asyncio.sleep(self.seconds)
        return completion


@pytest.mark.long
def test_a_long_document_reports_each_page_and_stops_when_deleted(rig: Rig) -> None:
    rig.model = model = SlowModel(answers=['{"text": "One page."}'])
    with rig.client() as client:
        told_page_by_page(client, model)


def told_page_by_page(client: httpx.Client, model: SlowModel) -> None:
    document = b64(blank_pdf(*[(99, 99)] * 120))
    job = left(client, "/v1/tasks/ocr", images=[document])
    answer = ended(client, job)["response"]["body"]
    told = events(client.get(f"/v1/jobs/{job['id']}/events"))

    assert answer["calls"] == len(model.requests) == 120
    assert [page["number"] for page in answer["result"]["pages"]] == list(range(1, 121))
    assert [data["done"] for name, data in told if name == "progress"] == list(range(1, 121))
    assert {data["page_result"]["number"] for _, data in told[:-1]} == set(range(1, 121))

    model.seconds = 0.2
    other = left(client, "/v1/tasks/ocr", images=[document])
    until = time.monotonic() + 60
    while len(model.requests) < 130 and time.monotonic() < until:
        time.sleep(0.02)
    assert client.delete(f"/v1/jobs/{other['id']}").status_code == 204
    # A running job would make several calls a second.
    called_so_far = 0
    while called_so_far != len(model.requests):
        called_so_far = len(model.requests)
        time.sleep(1)
    assert called_so_far < 240


def test_an_error_after_acceptance_is_the_jobs_response(client: httpx.Client) -> None:
    job = ended(client, left(client, prompt="What?", images=["bm90IGEgcGljdHVyZQ=="]))
    assert job["status"] == "failed"
    assert job["response"]["status_code"] == 422
    assert job["response"]["body"]["code"] == "not_an_image"


def test_a_job_that_ends_within_the_preferred_wait_is_answered_directly(
    client: httpx.Client,
) -> None:
    answer = client.post(
        "/v1/generate", json={"prompt": "Why?"}, headers={"Prefer": "respond-async, wait=60"}
    )
    assert answer.status_code == 200
    assert answer.json()["generation"]
    assert answer.headers["location"].startswith("/v1/jobs/job_")


@pytest.mark.parametrize(
    "lines",
    [
        ["wait=60, respond-async"],
        ["respond-async", "wait=60"],
        ["return=minimal", "wait=60", "respond-async"],
        ["respond-async , wait = 60"],
    ],
)
def test_preferences_may_come_in_any_order_and_in_several_lines(
    client: httpx.Client, lines: list[str]
) -> None:
    headers = [("Prefer", line) for line in lines]
    answer = client.post("/v1/generate", json={"prompt": "Why?"}, headers=headers)

    assert answer.status_code == 200
    assert answer.headers["preference-applied"] == "respond-async"


def test_other_preferences_change_nothing(client: httpx.Client) -> None:
    for preference in ("return=minimal", "wait=3", "", 'note="a, respond-async, b"'):
        answer = client.post(
            "/v1/generate", json={"prompt": "Why?"}, headers={"Prefer": preference}
        )
        assert answer.status_code == 200
    estimate = client.post("/v1/estimate", json={"prompt": "Why?"}, headers=ASYNC)
    assert estimate.status_code == 200


def test_a_preferred_wait_ends_after_its_seconds(tmp_path: Path) -> None:
    model = GatedVisionModel()
    settings = Settings(_env_file=None, data_directory=tmp_path)
    with Rig(model=model, settings=settings).client() as client:
        job = left(client, prompt="Why?")
        assert model.asked.wait(30)
        waited = client.get(f"/v1/jobs/{job['id']}", params={"wait": 0.3}).json()
        assert (waited["status"], waited["response"]) == ("in_progress", None)
        model.go.set()
        assert ended(client, job)["status"] == "completed"


def test_a_tasks_events_report_each_page_and_then_the_result(client: httpx.Client) -> None:
    body = {"images": [b64(FOUR_PAGES)]}
    job = left(client, "/v1/tasks/document-qa", question="Why?", **body)
    done = ended(client, job)
    told = events(client.get(f"/v1/jobs/{job['id']}/events"))

    names = [name for name, _ in told]
    assert names == ["progress"] * 4 + ["result"]
    assert sorted(data["done"] for name, data in told if name == "progress") == [1, 2, 3, 4]
    assert told[-1][1] == done["response"]["body"]


def test_events_resume_after_the_last_event_id(client: httpx.Client) -> None:
    job = left(client, "/v1/tasks/document-qa", question="Why?", images=[b64(FOUR_PAGES)])
    ended(client, job)
    url = f"/v1/jobs/{job['id']}/events"
    rest = events(client.get(url, headers={"Last-Event-ID": "2"}))
    assert [name for name, _ in rest] == ["progress", "progress", "result"]


def test_a_generations_events_end_with_done_or_error(client: httpx.Client) -> None:
    good, bad = left(client, prompt="Why?"), left(client, prompt="?", images=["bm90"])
    assert events(client.get(f"/v1/jobs/{good['id']}/events"))[-1][0] == "done"
    assert events(client.get(f"/v1/jobs/{bad['id']}/events"))[-1][0] == "error"


@pytest.mark.parametrize("path", ["", "/events"])
def test_an_unknown_job_is_not_found(client: httpx.Client, path: str) -> None:
    answer = client.get(f"/v1/jobs/job_none{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "job_not_found")


def test_jobs_are_listed_newest_first(client: httpx.Client) -> None:
    left_ = [left(client, prompt=f"{number}?")["id"] for number in range(3)]
    page = client.get("/v1/jobs", params={"limit": 2}).json()
    assert [job["id"] for job in page["data"]] == left_[:0:-1]
    assert page["has_more"] is True
    rest = client.get("/v1/jobs", params={"after": page["data"][-1]["id"]}).json()
    assert [job["id"] for job in rest["data"]] == left_[:1]


def test_a_deleted_job_ends_its_call_within_a_second(emulator_url: str, tmp_path: Path) -> None:
    with running(emulator_url, "stall", Dialect.INVOKE, data_directory=tmp_path) as service:
        job = left(service.http, prompt="Why?")
        called(service)
        began = time.monotonic()
        answer = service.http.delete(f"/v1/jobs/{job['id']}")
        assert (answer.status_code, answer.content) == (204, b"")
        outcome = service.outcome()
        took = time.monotonic() - began
        assert outcome == "client_left"
        # The promise is a second; the rest allows for a busy machine.
        assert took < 5
        assert service.http.get(f"/v1/jobs/{job['id']}").status_code == 404
        assert service.http.delete(f"/v1/jobs/{job['id']}").status_code == 404


def called(service: Service) -> None:
    """Wait until the model is being called."""
    until = time.monotonic() + 60
    while not service.seen() and time.monotonic() < until:
        time.sleep(0.05)


def test_a_job_waits_out_a_cold_start(emulator_url: str, tmp_path: Path) -> None:
    # A plain request would time out long before the model is loaded.
    fault, few = "loading-for-3s", {"request_timeout": 1, "data_directory": tmp_path}
    with running(emulator_url, fault, Dialect.CHAT, **few) as service:
        assert service.ask().json()["code"] in ("model_loading", "deadline_exceeded")
        job = ended(service.http, left(service.http, prompt="Why?"))
        assert job["status"] == "completed"


def test_a_job_survives_a_restart_of_the_service(rig: Rig) -> None:
    rig.model = GatedVisionModel()
    with rig.client() as client:
        running_, waiting = left(client, prompt="First?"), left(client, prompt="Second?")
        assert rig.model.asked.wait(30)
        rig.model.go.set()
    rig.model = FakeVisionModel()
    with rig.client() as client:
        for job in (running_, waiting):
            assert ended(client, job)["status"] == "completed"


class HeldFirst(FakeVisionModel):
    """Answers all requests but the first, which it holds until that is cancelled."""

    async def generate(self, request: ModelRequest) -> Completion:
        first = not self.requests
        completion = await super().generate(request)
        if first:
            await asyncio.Event().wait()
        return completion


def test_a_restarted_job_reports_and_pays_for_each_page_once(rig: Rig) -> None:
    rig.model = first = HeldFirst()
    with rig.client() as client:
        job = left(client, "/v1/tasks/document-qa", question="Why?", images=[b64(FOUR_PAGES)])
        until = time.monotonic() + 60
        while (client.get(f"/v1/jobs/{job['id']}").json()["progress"] or {}).get("done") != 3:
            assert time.monotonic() < until
            time.sleep(0.02)
    rig.model = again = FakeVisionModel()
    with rig.client() as client:
        done = ended(client, job)
        told = events(client.get(f"/v1/jobs/{job['id']}/events"))

    assert done["status"] == "completed"
    usage, counts = done["usage"], done["response"]["body"]
    assert len(first.requests) - 1 + len(again.requests) == counts["calls"], "none is paid twice"
    assert usage["prompt_tokens"] == counts["prompt_token_count"]
    assert usage["generation_tokens"] == counts["generation_token_count"]

    pages = [data for name, data in told if name == "progress"]
    assert [data["done"] for data in pages] == [1, 2, 3, 4]
    assert sorted(data["page"] for data in pages) == [1, 2, 3, 4]


class BusyAtFirst(ScriptedVisionModel):
    """Answers the first call, refuses the next ones, and answers all later ones."""

    refusals = 2

    async def generate(self, request: ModelRequest) -> Completion:
        completion = await super().generate(request)
        if 1 < len(self.requests) <= 1 + self.refusals:
            raise OverloadedError("Too many requests are waiting for the model.")
        return completion


def test_only_pages_refused_by_a_busy_upstream_are_asked_again(rig: Rig) -> None:
    document = b64(blank_pdf(*[(99, 99)] * 4))
    rig.model = model = BusyAtFirst(answers=['{"text": "One page."}'])
    with rig.client() as client:
        job = left(client, "/v1/tasks/ocr", images=[document])
        answer = ended(client, job)["response"]["body"]
        told = events(client.get(f"/v1/jobs/{job['id']}/events"))
    assert [page["error"] for page in answer["result"]["pages"]] == [None] * 4
    assert answer["calls"] == 4
    assert len(model.requests) == 6
    assert [data["done"] for name, data in told if name == "progress"] == [1, 2, 3, 4]
    assert {data["fault"] for name, data in told if name == "progress"} == {None}


def test_an_interactive_task_returns_without_retrying_failed_pages(rig: Rig) -> None:
    document = b64(blank_pdf(*[(99, 99)] * 4))
    rig.model = model = BusyAtFirst(answers=['{"text": "One page."}'])
    with rig.client() as client:
        answer = client.post("/v1/tasks/ocr", json={"images": [document]}).json()
    failed = [page["error"] for page in answer["result"]["pages"] if page["error"]]
    assert len(failed) == 2
    assert len(model.requests) == 4


def test_no_caller_sees_anothers_jobs(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    ann, bob = bearer(add_key(keys)), bearer(add_key(keys))
    with guarded(keys, data_directory=tmp_path).client() as client:
        answer = client.post("/v1/generate", json={"prompt": "Why?"}, headers={**ASYNC, **ann})
        path = answer.headers["location"]
        assert client.get(path, headers=ann).status_code == 200
        for refused in (
            client.get(path, headers=bob),
            client.get(f"{path}/events", headers=bob),
            client.delete(path, headers=bob),
        ):
            assert refused.status_code == 404
        assert client.get("/v1/jobs", headers=bob).json()["data"] == []
        assert client.get(path).status_code == 401


@dataclass
class Receiver:
    """A server that receives webhooks."""

    statuses: list[int] = field(default_factory=list)
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    enough: threading.Event = field(default_factory=threading.Event)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        heads = {k.decode(): v.decode() for k, v in scope["headers"]}
        self.received.append((heads, body))
        status = self.statuses.pop(0) if self.statuses else 200
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        if status == 200:
            self.enough.set()


@contextmanager
def hooked(tmp_path: Path, receiver: Receiver) -> Iterator[tuple[httpx.Client, str]]:
    with serving(receiver, lifespan="off") as url:
        settings = Settings(
            _env_file=None,
            data_directory=tmp_path,
            webhook_hosts=(httpx.URL(url).netloc.decode(),),
            webhook_allow_http=True,
            webhook_secret="a secret of the operator's",
        )
        with Rig(settings=settings).client() as client:
            yield client, f"{url}/hook"


def test_a_webhook_reports_the_end_of_a_job(tmp_path: Path) -> None:
    receiver = Receiver()
    with hooked(tmp_path, receiver) as (client, url):
        headers = {**ASYNC, "X-Webhook-Url": url}
        job = client.post("/v1/generate", json={"prompt": "Why?"}, headers=headers).json()
        assert receiver.enough.wait(60)
        shown = client.get("/v1/webhooks").json()
        heads, body = receiver.received[0]
        unwrapping = OpenAI(api_key="none", webhook_secret=shown["secret"]).webhooks.unwrap
        event: Any = unwrapping(body, heads)
        delivered = until_delivered(client)

    assert (event.type, event.data.id) == ("job.completed", job["id"])
    assert job["webhook"]["status"] == "pending"
    assert (delivered["subject"], delivered["attempts"]) == (job["id"], 1)
    assert delivered["last_status"] == 200


@pytest.mark.parametrize(("url_of_row", "kind"), [("generate", "completed"), ("x", "failed")])
def test_a_webhook_reports_the_end_of_a_batch(tmp_path: Path, url_of_row: str, kind: str) -> None:
    receiver = Receiver()
    line = {
        "custom_id": "a",
        "method": "POST",
        "url": f"/v1/{url_of_row}",
        "body": {"prompt": "Why?"},
    }
    with hooked(tmp_path, receiver) as (http, url):
        secret = http.get("/v1/webhooks").json()["secret"]
        base = f"{http.base_url}/v1"
        with OpenAI(base_url=base, api_key="none", webhook_secret=secret) as client:
            rows = client.files.create(file=("r.jsonl", json.dumps(line).encode()), purpose="batch")
            batch = client.batches.create(
                input_file_id=rows.id,
                endpoint="/v1/generate",  # type: ignore[arg-type]
                completion_window="24h",
                extra_headers={"X-Webhook-Url": url},
            )
            assert receiver.enough.wait(60)
            heads, body = receiver.received[0]
            event: Any = client.webhooks.unwrap(body, heads)
    assert (event.type, event.data.id) == (f"batch.{kind}", batch.id)


def until_delivered(client: httpx.Client) -> dict[str, Any]:
    until = time.monotonic() + 30
    while True:
        (found,) = client.get("/v1/webhooks").json()["data"]
        if found["status"] != "pending" or time.monotonic() > until:
            shown: dict[str, Any] = found
            return shown
        time.sleep(0.1)


def test_a_forbidden_webhook_target_is_refused_before_anything_is_stored(tmp_path: Path) -> None:
    with hooked(tmp_path, Receiver()) as (client, _):
        headers = {**ASYNC, "X-Webhook-Url": "https://elsewhere.test/"}
        answer = client.post("/v1/generate", json={"prompt": "Why?"}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (422, "webhook_url_not_allowed")
        assert client.get("/v1/jobs").json()["data"] == []


def test_without_the_setting_webhooks_are_refused(client: httpx.Client) -> None:
    headers = {**ASYNC, "X-Webhook-Url": "https://elsewhere.test/"}
    answer = client.post("/v1/generate", json={"prompt": "Why?"}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "webhooks_disabled")
    assert client.get("/v1/webhooks").json()["secret"] is None
