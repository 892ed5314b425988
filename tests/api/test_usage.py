"""Cost, usage and estimates."""

import asyncio
from datetime import UTC, datetime

import pytest

from app.adapters.bedrock import token_counter
from app.domain.access import Scope
from app.domain.errors import UsageStoreError
from app.domain.generation import Completion, ModelRequest, StopReason
from app.domain.usage import Usage
from app.services.images import canvas
from app.services.usage.ledger import UsageLedger
from app.settings import Settings
from app.telemetry.metrics import Metrics
from tests.support.clients.problem import problem
from tests.support.fakes.ports import FakeVisionModel
from tests.support.files.pictures import ASTRONAUT, b64
from tests.support.service.access import add_key, bearer, guarded
from tests.support.service.application import Rig

ASKED = {"prompt": "one two three"}
PRICE = 0.16 / 1e6


def test_an_answer_reports_its_cost(client):
    body = client.post("/v1/generate", json=ASKED).json()

    assert body["cost_usd"]["input"] == pytest.approx(body["prompt_token_count"] * PRICE)
    assert body["cost_usd"]["output"] == pytest.approx(body["generation_token_count"] * PRICE)
    assert body["cost_usd"]["total"] == pytest.approx(body["total_token_count"] * PRICE)


def test_a_streamed_answer_reports_its_cost_at_its_end(client):
    stream = client.post("/v1/generate", json={**ASKED, "stream": True}).text

    assert '"cost_usd":{"input":' in stream.replace(" ", "").split("event:done")[1]


@pytest.mark.parametrize(
    ("settings", "usage"),
    [
        ({"model_id": "us.meta.llama3-2-90b-instruct-v1:0"}, Usage(3, 3)),
        ({}, Usage(None, 3)),
    ],
    ids=["no price", "no count"],
)
def test_an_unknown_cost_is_null(settings, usage):
    class Counted(FakeVisionModel):
        async def generate(self, request):
            return Completion("x", usage, StopReason.STOP, "stop")

    with Rig(Counted(), settings=Settings(_env_file=None, **settings)).client() as client:
        assert client.post("/v1/generate", json=ASKED).json()["cost_usd"] is None


def test_usage_is_reported_by_day_model_key_and_task(tmp_path):
    keys = tmp_path / "keys.json"
    ann, bob = add_key(keys, Scope.GENERATE), add_key(keys, Scope.GENERATE)
    admin = add_key(keys, Scope.ADMIN)
    with guarded(keys).client() as client:
        body = {**ASKED, "images": [b64(ASTRONAUT)]}
        answers = [
            client.post("/v1/generate", json=body, headers=bearer(ann)).json() for _ in range(2)
        ]
        client.post("/v1/generate", json={**ASKED, "stream": True}, headers=bearer(bob))
        own = client.get("/v1/usage", headers=bearer(ann)).json()["data"]
        everyone = client.get("/v1/usage", headers=bearer(admin)).json()["data"]

    (row,) = own
    assert row["key"] == ann.split("_")[1]
    assert row["day"] == datetime.now(UTC).date().isoformat()
    assert row["model"] == "us.meta.llama3-2-11b-instruct-v1:0"
    assert row["requests"] == row["images"] == 2
    assert row["tiles"] == 2
    assert row["prompt_tokens"] == sum(a["prompt_token_count"] for a in answers)
    assert row["cost_usd"] == pytest.approx(sum(a["cost_usd"]["total"] for a in answers))
    assert {r["key"] for r in everyone} == {ann.split("_")[1], bob.split("_")[1]}


def test_reading_another_callers_usage_requires_the_admin_scope(tmp_path):
    keys = tmp_path / "keys.json"
    ann, admin = add_key(keys, Scope.GENERATE), add_key(keys, Scope.ADMIN)
    with guarded(keys).client() as client:
        asked = "/v1/usage?key=someone"
        problem(client.get(asked, headers=bearer(ann)), 403, "scope_missing")
        assert client.get(asked, headers=bearer(admin)).json() == {"data": []}


@pytest.mark.parametrize(
    "period",
    [
        {"first": "2026-01-02", "last": "2026-01-01"},
        {"first": "2020-01-01", "last": "2026-01-01"},
        {"first": "yesterday"},
    ],
)
def test_an_invalid_period_is_refused(client, period):
    problem(client.get("/v1/usage", params=period), 422, "invalid_parameter")


@pytest.mark.parametrize("last", ["0001-01-01", "0001-01-30", "9999-12-31"])
def test_a_period_at_the_end_of_the_calendar_has_no_usage(client, last):
    assert client.get("/v1/usage", params={"last": last}).json() == {"data": []}


def test_a_refused_request_counts_no_usage(client):
    client.post("/v1/generate", json={"prompt": ""})

    assert client.get("/v1/usage").json() == {"data": []}


class Away:
    """A store that can't be reached."""

    async def add(self, batch):
        raise UsageStoreError("away")

    async def read(self, query):
        raise UsageStoreError("away")


def test_an_unreachable_store_fails_no_answer_and_loses_no_count():
    ledger = UsageLedger(Away(), Metrics())
    rig = Rig(more={"usage": ledger, "sinks": (ledger,)})
    with rig.client() as client:
        assert client.post("/v1/generate", json=ASKED).status_code == 200
        problem(client.get("/v1/usage"), 503, "usage_store_unavailable")

    assert ledger._unwritten is not None
    (row,) = ledger._unwritten.rows
    assert row.counts.requests == 1


@pytest.mark.xdist_group("postgres")
def test_usage_of_two_replicas_adds_up_in_postgres(postgres):
    def replica() -> Rig:
        return Rig(
            settings=Settings(_env_file=None, usage_store="postgres", postgres_url=postgres.url)
        )

    with replica().client() as first, replica().client() as second:
        answers = [
            client.post("/v1/generate", json=ASKED).json() for client in (first, second, first)
        ]
        # A replica writes its own last counts before it answers.
        first.get("/v1/usage").raise_for_status()
        (row,) = second.get("/v1/usage").json()["data"]

    assert row["requests"] == 3
    assert row["prompt_tokens"] == sum(a["prompt_token_count"] for a in answers)
    assert row["cost_usd"] == pytest.approx(sum(a["cost_usd"]["total"] for a in answers))


def test_the_service_starts_and_answers_while_postgres_is_unreachable():
    settings = Settings(
        _env_file=None,
        usage_store="postgres",
        postgres_url="postgresql://ann:hunter2@127.0.0.1:1/usage",
    )
    with Rig(settings=settings).client() as client:
        assert client.post("/v1/generate", json=ASKED).status_code == 200
        body = problem(client.get("/v1/usage"), 503, "usage_store_unavailable")

    assert "hunter2" not in str(body)


def test_an_estimate_gives_the_exact_prompt_tokens_without_a_call(client, model):
    asked = {"prompt": "Describe this image in two sentences", "images": [b64(ASTRONAUT)]}
    body = client.post("/v1/estimate", json={**asked, "max_gen_len": 100}).json()

    assert model.requests == []
    assert body["prompt_tokens"] == 17
    assert body["method"] == "exact"
    assert body["image_tokens"] == 1
    assert body["tiles"] == body["images"][0]["tiles"] == 1
    assert body["fits"] is True
    assert body["cost_usd"]["least"]["total"] == pytest.approx(17 * PRICE)
    assert body["cost_usd"]["most"]["total"] == pytest.approx(117 * PRICE)


@pytest.mark.parametrize(("strategy", "calls"), [("each", 3), ("contact_sheet", 1)])
def test_an_estimate_of_several_pictures_equals_the_sum_of_its_calls(
    client, model, strategy, calls
):
    asked = {"prompt": "Hi", "images": [b64(ASTRONAUT)] * 3, "image_strategy": strategy}
    told = client.post("/v1/estimate", json={**asked, "max_gen_len": 10}).json()
    client.post("/v1/generate", json=asked).raise_for_status()
    sent = [image for r in model.requests for turn in r.turns for image in turn.images]
    counts = [count_of(request) for request in model.requests]

    assert told["calls"] == told["image_tokens"] == len(sent) == calls
    assert told["prompt_tokens"] == sum(counts)
    assert told["max_gen_len"] == 10 * calls
    assert [(i["width"], i["height"]) for i in told["images"]] == [
        (image.width, image.height) for image in sent
    ]
    assert told["tiles"] == sum(canvas.choose(i.width, i.height).tiles for i in sent)
    most = told["cost_usd"]["most"]["total"]
    assert most == pytest.approx((sum(counts) + 10 * calls) * PRICE)


def count_of(request: ModelRequest) -> int:
    return asyncio.run(token_counter.counter().count(request)).tokens


def test_several_calls_fit_if_each_of_them_does(client):
    asked = {"images": [b64(ASTRONAUT)] * 3, "image_strategy": "each"}
    body = client.post("/v1/estimate", json={**asked, "prompt": "word " * 60_000}).json()

    assert body["prompt_tokens"] > body["context_window"]
    assert body["fits"] is True


def test_an_estimate_reports_a_prompt_that_does_not_fit(client):
    body = client.post("/v1/estimate", json={"prompt": "word " * 140_000}).json()

    assert body["fits"] is False
    assert body["prompt_tokens"] > body["context_window"] == 128_000


def test_an_estimate_refuses_invalid_requests_as_generate_does(client):
    problem(client.post("/v1/estimate", json={}), 422, "prompt_missing")
    problem(client.post("/v1/estimate", json={"images": ["AAAA"]}), 422, "not_an_image")


def test_an_estimate_ignores_an_idempotency_key(client):
    key = {"Idempotency-Key": "k"}
    for prompt in ("x", "y"):
        answer = client.post("/v1/estimate", json={"prompt": prompt}, headers=key)
        assert answer.status_code == 200


def test_a_tasks_usage_and_cost_cover_all_its_calls(client):
    body = client.post("/v1/tasks/caption", json={"images": [b64(ASTRONAUT)]}).json()
    (row,) = client.get("/v1/usage").json()["data"]

    assert row["task"] == "caption"
    assert row["cost_usd"] == pytest.approx(body["cost_usd"]["total"])
    assert body["cost_usd"]["total"] > 0
