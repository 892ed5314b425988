"""Rate limits: requests, tokens, tiles and spend."""

import asyncio

import pytest

from app.domain.access import Scope
from app.domain.errors import ModelThrottledError, UpstreamTimeoutError
from app.domain.generation import Completion, ModelRequest
from app.settings import Settings
from tests.support.clients.problem import problem
from tests.support.fakes.ports import FakeVisionModel
from tests.support.files.pictures import ASTRONAUT, b64
from tests.support.service.access import add_key, bearer, guarded
from tests.support.service.application import Rig

ASKED = {"prompt": "one two", "max_gen_len": 10}


def limited(model: FakeVisionModel | None = None, **limits: str) -> Rig:
    settings = Settings(_env_file=None, limits={k.replace("__", ":"): v for k, v in limits.items()})
    return Rig(model or FakeVisionModel(), settings=settings)


def test_answers_report_the_remaining_quota_and_a_refusal_its_retry_after():
    with limited(requests="2/hour; 5/day").client() as client:
        first = client.post("/v1/generate", json=ASKED)
        client.post("/v1/generate", json=ASKED)
        third = client.post("/v1/generate", json=ASKED)

    assert (
        first.headers["ratelimit-policy"]
        == '"requests/3600s";q=2;w=3600, "requests/86400s";q=5;w=86400'
    )
    assert first.headers["ratelimit"].startswith('"requests/3600s";r=1;t=')
    assert "requests: 2 per 3600 s" in problem(third, 429, "rate_limited")["detail"]
    assert third.json()["retryable"] is True
    assert 3500 < int(third.headers["retry-after"]) <= 3600
    assert third.headers["ratelimit"].startswith('"requests/3600s";r=0;t=')


def test_health_is_not_counted():
    with limited(requests="1/hour").client() as client:
        assert {client.get("/healthz").status_code for _ in range(5)} == {200}


def test_a_metrics_scrape_counts_only_against_its_own_limit():
    with limited(requests="1/hour").client() as client:
        assert {client.get("/metrics").status_code for _ in range(5)} == {200}
        assert client.post("/v1/generate", json=ASKED).status_code == 200
    with limited(metrics__requests="1/hour").client() as client:
        assert [client.get("/metrics").status_code for _ in range(2)] == [200, 429]


def test_a_keys_own_limits_replace_the_services(tmp_path):
    keys = tmp_path / "keys.json"
    slow = add_key(keys, Scope.GENERATE, limits={"requests": "1/hour"})
    usual = add_key(keys, Scope.GENERATE)
    with guarded(keys, limits={"requests": "3/hour"}).client() as client:

        def ask(text: str) -> int:
            return client.post("/v1/generate", json=ASKED, headers=bearer(text)).status_code

        assert [ask(slow) for _ in range(2)] == [200, 429]
        assert [ask(usual) for _ in range(4)] == [200, 200, 200, 429]


def test_a_limit_of_one_scope_leaves_the_others_alone():
    with limited(generate__requests="1/hour").client() as client:
        assert client.post("/v1/generate", json=ASKED).status_code == 200
        assert client.post("/v1/generate", json=ASKED).status_code == 429
        assert client.get("/v1/models").status_code == 200


def test_max_gen_len_is_reserved_and_the_unused_part_returned():
    # The prompt has 13 tokens with its template; the fake counts 2 and answers 5.
    with limited(tokens="100/hour").client() as client:
        asked = {**ASKED, "max_gen_len": 80}
        for _ in range(2):
            assert client.post("/v1/generate", json=asked).status_code == 200
        too_long = client.post("/v1/generate", json={**ASKED, "max_gen_len": 100})

    body = problem(too_long, 429, "rate_limited")
    assert "this request alone" in body["detail"]
    assert body["retryable"] is False
    assert "retry-after" not in too_long.headers
    assert too_long.headers["ratelimit"].startswith('"tokens/3600s";r=')


def test_a_stream_is_charged_what_it_used():
    with limited(tokens="100/hour").client() as client:
        asked = {**ASKED, "max_gen_len": 80, "stream": True}
        statuses = [client.post("/v1/generate", json=asked).status_code for _ in range(2)]

    assert statuses == [200, 200]


def test_a_failed_call_returns_its_whole_reservation():
    model = FakeVisionModel(ModelThrottledError("later"))
    with limited(model, tokens="100/hour", tiles="1/hour", spend="0.00002/hour").client() as client:
        asked = {**ASKED, "max_gen_len": 80, "images": [b64(ASTRONAUT)]}
        codes = [client.post("/v1/generate", json=asked).json()["code"] for _ in range(3)]
        streamed = client.post("/v1/generate", json={**asked, "stream": True}).json()["code"]
        model.failing = None
        assert client.post("/v1/generate", json=asked).status_code == 200

    assert {*codes, streamed} == {"model_throttled"}


class Silent(FakeVisionModel):
    """Accepts requests and never answers."""

    async def generate(self, request: ModelRequest) -> Completion:
        await asyncio.Event().wait()
        raise AssertionError


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "status"), [(Silent(), 504), (FakeVisionModel(UpstreamTimeoutError("late")), 504)]
)
def test_a_call_that_may_have_been_billed_keeps_its_reservation(model, status, stream):
    with limited(model, tokens="100/hour").client() as client:
        asked = {**ASKED, "max_gen_len": 80, "stream": stream}
        client.post("/v1/estimate", json=ASKED)  # loads the vocabulary, which can take seconds
        cut = client.post("/v1/generate", json=asked, headers={"x-request-timeout": "2"})
        again = client.post("/v1/generate", json=asked)

    assert cut.status_code == status
    problem(again, 429, "rate_limited")


@pytest.mark.parametrize("stream", [False, True])
def test_the_spend_limit_is_enforced_before_the_model_is_called(stream):
    model = FakeVisionModel()
    with limited(model, spend="0.00001/day").client() as client:
        asked = {**ASKED, "max_gen_len": 100, "stream": stream}
        answer = client.post("/v1/generate", json=asked)

    assert "spend: 1e-05 per 86400 s" in problem(answer, 429, "rate_limited")["detail"]
    assert model.requests == []


@pytest.mark.parametrize("stream", [False, True])
def test_unused_reserved_spend_is_returned(stream):
    # 113 tokens are reserved, 7 used: 0.000019 and 0.000002 dollars.
    with limited(spend="0.00003/day").client() as client:
        asked = {**ASKED, "max_gen_len": 100, "stream": stream}
        statuses = [client.post("/v1/generate", json=asked).status_code for _ in range(2)]

    assert statuses == [200, 200]


def test_tiles_are_limited():
    with limited(tiles="1/hour").client() as client:
        asked = {**ASKED, "images": [b64(ASTRONAUT)]}
        assert client.post("/v1/generate", json=asked).status_code == 200
        answer = client.post("/v1/generate", json=asked)
        assert client.post("/v1/generate", json=ASKED).status_code == 200

    assert "tiles" in problem(answer, 429, "rate_limited")["detail"]


def test_two_replicas_count_together_in_redis(redis_url, tmp_path):
    text = add_key(tmp_path / "keys.json", Scope.GENERATE)

    def replica() -> Rig:
        return guarded(
            tmp_path / "keys.json", limits={"requests": "3/hour"}, limits_store="redis",
            usage_store="redis", redis_url=redis_url,
        )  # fmt: skip

    with replica().client() as first, replica().client() as second:
        statuses = [
            client.post("/v1/generate", json=ASKED, headers=bearer(text)).status_code
            for client in (first, second, first, second)
        ]
        # Each replica reports what both counted.
        rows = second.get("/v1/usage", headers=bearer(text)).status_code

    assert statuses == [200, 200, 200, 429]
    assert rows == 429


@pytest.mark.parametrize(("failure", "status"), [("open", 200), ("closed", 503)])
def test_a_setting_decides_whether_calls_pass_while_redis_is_down(failure, status):
    settings = Settings(
        _env_file=None,
        limits={"requests": "3/hour"},
        limits_store="redis",
        limits_failure=failure,
        redis_url="redis://127.0.0.1:1/0",
    )
    with Rig(settings=settings).client() as client:
        assert client.post("/v1/generate", json=ASKED).status_code == status
        metrics = client.get("/metrics").text

    assert "llama_vision_limiter_failures_total 1.0" in metrics


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"limits": {"wishes": "1/day"}}, "limits: wishes"),
        ({"limits_store": "redis"}, "redis_url: is missing, but limits_store"),
        ({"usage_store": "redis"}, "redis_url: is missing, but usage_store"),
    ],
)
def test_invalid_limits_or_a_missing_redis_url_stop_the_start(settings, said):
    with pytest.raises(ValueError, match=said):
        Settings(_env_file=None, **settings)
