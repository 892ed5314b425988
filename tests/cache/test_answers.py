"""The answer cache over HTTP: what is cached, for whom, how long, and how it is replayed."""

import asyncio
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import httpx
import pytest
from PIL import Image

from app.domain import key
from app.domain.access import Scope
from app.settings import Settings
from tests.support.clients import sse
from tests.support.clients.guardrail_dialects import DIALECTS, MODEL
from tests.support.clients.guardrail_dialects import SETTINGS as GUARDED
from tests.support.fakes.ports import GatedVisionModel
from tests.support.files.pictures import ASTRONAUT, ROCKET, b64
from tests.support.service.application import Rig

COLD = {"prompt": "one two", "temperature": 0}


def rig(**settings: Any) -> Rig:
    return Rig(settings=Settings(_env_file=None, **{"cache": "on", **settings}))


def ask(http: httpx.Client, headers: Any = None, **body: Any) -> Any:
    reply = http.post("/v1/generate", json={**COLD, **body}, headers=headers)
    assert reply.status_code == 200, reply.text
    return reply.json()


@pytest.fixture
def made() -> Rig:
    return rig()


@pytest.fixture
def http(made: Rig) -> Iterator[httpx.Client]:
    with made.client() as http:
        yield http


def test_nothing_is_cached_by_default():
    made = Rig()
    with made.client() as http:
        for _ in range(2):
            assert not ask(http, {"Cache-Control": "max-age=60"})["cached"]

    assert len(made.model.requests) == 2


def test_a_repeated_question_is_answered_from_the_cache_and_marked_cached(http, made):
    first, again = ask(http), ask(http)

    assert len(made.model.requests) == 1
    assert (first["cached"], first["age_seconds"]) == (False, None)
    assert (again["cached"], again["age_seconds"] >= 0) == (True, True)
    for name in ("generation", "prompt_token_count", "generation_token_count", "stop_reason"):
        assert again[name] == first[name]
    assert again["target"] == first["target"]
    assert again["cost_usd"]["total"] == 0
    assert again["cost_usd"]["saved"] == first["cost_usd"]["total"] > 0


COLD_MORE: dict[str, dict[str, Any]] = {
    "chat": {"temperature": 0},
    "chat_stream": {"temperature": 0},
    "responses": {"temperature": 0},
    "responses_stream": {"temperature": 0},
    "generate": {"temperature": 0},
    "generate_stream": {"temperature": 0},
    "converse": {"inferenceConfig": {"temperature": 0}},
    "converse_stream": {"inferenceConfig": {"temperature": 0}},
    "invoke": {"temperature": 0},
    "invoke_stream": {"temperature": 0},
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_replays_an_answer_in_its_own_shape(http, made, dialect):
    first = DIALECTS[dialect](http, "one two", {}, COLD_MORE[dialect])
    again = DIALECTS[dialect](http, "one two", {}, COLD_MORE[dialect])

    assert len(made.model.requests) == 1
    assert (again.text, again.deltas) == (first.text, first.deltas)
    assert first.text


def test_a_stream_is_replayed_as_the_same_events(http, made):
    def events() -> sse.Events:
        with http.stream("POST", "/v1/generate", json={**COLD, "stream": True}) as reply:
            return sse.read(reply)

    first, again = events(), events()

    assert len(made.model.requests) == 1
    assert [e for e in again.named if e[0] == "delta"] == [
        e for e in first.named if e[0] == "delta"
    ]
    again.assert_well_formed()
    assert again.names == first.names
    assert again.last()["cached"]


def test_a_replay_reports_its_age_and_cost_in_aws_headers(http):
    body = {
        "messages": [{"role": "user", "content": [{"text": "one two"}]}],
        "inferenceConfig": {"temperature": 0},
    }
    first, again = (http.post(f"/model/{MODEL}/converse", json=body) for _ in range(2))

    assert "Age" not in first.headers
    assert again.headers["Age"] == "0"
    assert float(again.headers["X-Cost-Usd"]) == 0
    assert float(again.headers["X-Cost-Usd-Saved"]) > 0
    assert again.json()["usage"] == first.json()["usage"]


@pytest.mark.parametrize(
    "other",
    [
        {"prompt": "one two three"},
        {"system": "Be brief."},
        {"top_p": 0.5},
        {"max_gen_len": 100},
        {"language": "fr"},
    ],
)
def test_a_different_question_is_not_answered_from_the_cache(http, made, other):
    ask(http)

    assert not ask(http, **other)["cached"]
    assert len(made.model.requests) == 2


def test_a_sampled_answer_is_cached_only_on_request(http):
    warm = {"temperature": 0.5}

    assert [ask(http, **warm)["cached"] for _ in range(2)] == [False, False]
    asked = {"Cache-Control": "max-age=600"}
    assert [ask(http, asked, **warm)["cached"] for _ in range(2)] == [False, True]


def test_a_setting_caches_sampled_answers():
    with rig(cache_sampled=True).client() as http:
        assert [ask(http, temperature=0.5)["cached"] for _ in range(2)] == [False, True]


def test_a_truncated_answer_is_not_cached(http):
    assert [ask(http, max_gen_len=1)["cached"] for _ in range(2)] == [False, False]


def test_cache_control_can_bypass_the_cache_forbid_storing_and_bound_the_age(http, made):
    ask(http)
    assert not ask(http, {"Cache-Control": "no-cache"})["cached"]
    assert not ask(http, {"Cache-Control": "max-age=0"})["cached"]
    assert not ask(http, {"Cache-Control": "no-store"})["cached"]
    assert ask(http, {"Cache-Control": "max-age=60"})["cached"]
    assert ask(http, {"Cache-Control": "private, junk=1"})["cached"]
    assert not ask(http, {"Cache-Control": "no-store"}, prompt="other")["cached"]
    assert not ask(http, prompt="other")["cached"]


def test_in_the_opt_in_mode_only_requests_that_ask_use_the_cache():
    with rig(cache="asked").client() as http:
        assert [ask(http)["cached"] for _ in range(2)] == [False, False]
        asked = {"Cache-Control": "max-age=60"}
        assert [ask(http, asked)["cached"] for _ in range(2)] == [False, True]


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


@pytest.mark.parametrize("scope", ["caller", "shared"])
def test_two_keys_share_answers_only_where_the_setting_allows_it(scope):
    ann, one = key.issue("ann", (Scope.GENERATE,))
    bob, two = key.issue("bob", (Scope.GENERATE,))
    made = rig(keys=key.render((one, two)), cache_scope=scope)
    with made.client() as http:
        assert not ask(http, bearer(ann))["cached"]
        assert ask(http, bearer(bob))["cached"] == (scope == "shared")
        assert ask(http, bearer(ann))["cached"]


def test_a_key_can_switch_the_cache_on_or_off_for_itself():
    ann, one = key.issue("ann", (Scope.GENERATE,), cache="on")
    bob, two = key.issue("bob", (Scope.GENERATE,), cache="off")
    with rig(keys=key.render((one, two)), cache="asked").client() as http:
        asked = {"Cache-Control": "max-age=60"}
        assert [ask(http, bearer(ann))["cached"] for _ in range(2)] == [False, True]
        assert [ask(http, bearer(bob) | asked)["cached"] for _ in range(2)] == [False, False]


def saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def test_the_same_pixels_in_another_file_are_the_same_question(http, made):
    picture = Image.open(BytesIO(ASTRONAUT)).convert("RGB").resize((400, 400))
    exif = Image.Exif()
    exif[0x010E] = "another description"
    files = [
        saved(picture, "PNG"),
        saved(picture, "PNG", compress_level=1),
        saved(picture, "PNG", exif=exif),
        saved(picture, "BMP"),
        saved(picture, "TIFF"),
    ]
    answers = [ask(http, images=[b64(file)]) for file in files]

    assert [answer["cached"] for answer in answers] == [False, True, True, True, True]
    assert not ask(http, images=[b64(saved(picture.rotate(90), "PNG"))])["cached"]
    assert len(made.model.requests) == 2


def test_a_jpeg_with_other_metadata_is_the_same_question(http):
    exif = Image.Exif()
    exif[0x010E] = "another description"
    picture = Image.open(BytesIO(ROCKET))
    plain = saved(picture, "JPEG", quality="keep")
    described = saved(picture, "JPEG", quality="keep", exif=exif)

    assert plain != described
    assert [ask(http, images=[b64(f)])["cached"] for f in (plain, described)] == [False, True]


def test_pages_of_a_task_are_cached_one_by_one(http, made):
    pages = [Image.new("RGB", (300, 200), colour) for colour in ("white", "green", "blue")]
    document = saved(pages[0], "PDF", save_all=True, append_images=pages[1:])
    body = {"images": [b64(document)], "question": "What colour?"}
    # Repairs are sampled.
    headers = {"Cache-Control": "max-age=600"}
    first = http.post("/v1/tasks/document-qa", json=body, headers=headers).json()
    asked = len(made.model.requests)
    again = http.post("/v1/tasks/document-qa", json=body, headers=headers).json()

    assert asked >= 3
    assert len(made.model.requests) == asked
    assert again["raw_texts"] == first["raw_texts"]
    assert (first["cached"], again["cached"]) == (False, True)
    assert again["cost_usd"]["total"] == 0


@pytest.mark.parametrize("stream", [False, True])
def test_two_hundred_equal_concurrent_requests_cost_one_call(stream):
    made = rig()
    made.model = GatedVisionModel()
    with made.client() as http:

        async def all_at_once() -> list[str]:
            limits = httpx.Limits(max_connections=200)
            async with httpx.AsyncClient(
                base_url=http.base_url, limits=limits, timeout=60
            ) as client:
                body = {**COLD, "stream": stream}
                asking = [
                    asyncio.create_task(client.post("/v1/generate", json=body)) for _ in range(200)
                ]
                await asyncio.to_thread(made.model.asked.wait, 30)
                await _until(lambda: "active_requests 200.0" in _metrics(http))
                made.model.go.set()
                return [(await answer).text for answer in asking]

        answers = asyncio.run(all_at_once())
        usage = http.get("/v1/usage").json()["data"]

    assert len(made.model.requests) == 1
    assert sum('"cached":false' in answer for answer in answers) == 1
    assert sum('"cached":true' in answer for answer in answers) == 199
    assert [row["requests"] for row in usage] == [1]


def _metrics(http: httpx.Client) -> str:
    # The request that reads the metrics is one of them.
    return http.get("/metrics").text.replace("active_requests 201.0", "active_requests 200.0")


async def _until(holds: Any) -> None:
    for _ in range(600):
        if await asyncio.to_thread(holds):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the condition did not become true")


def test_a_blocked_or_masked_answer_is_not_cached(emulator_url):
    settings = {**GUARDED, "guardrail_output": "enforce", "endpoint_url": emulator_url}
    made = rig(**settings)
    with made.client() as http:
        for prompt in ("write to ann@example.org", "please blockme"):
            for _ in range(2):
                http.post("/v1/generate", json={**COLD, "prompt": prompt})
        assert len(made.model.requests) == 4
        assert [ask(http, prompt="fine")["cached"] for _ in range(2)] == [False, True]
        stricter = {"X-Guardrail-Policy": "input=enforce"}
        assert not ask(http, stricter, prompt="fine")["cached"]


def test_callers_with_the_scope_can_purge_answers():
    ann, one = key.issue("ann", (Scope.GENERATE,))
    root, two = key.issue("root", (Scope.ADMIN, Scope.GENERATE))
    with rig(keys=key.render((one, two))).client() as http:
        for secret in (ann, root):
            ask(http, bearer(secret))
        refused = http.delete("/v1/cache", headers=bearer(ann))
        assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")

        def purge(**chosen: str) -> int:
            reply = http.delete("/v1/cache", params=chosen, headers=bearer(root))
            assert reply.status_code == 200
            return int(reply.json()["deleted"])

        assert purge(caller="nobody") == 0
        assert purge(model="another") == 0
        assert purge(caller=one.id) == 1
        assert not ask(http, bearer(ann))["cached"]
        assert ask(http, bearer(root))["cached"]
        assert purge(model=MODEL) == 2
        assert purge() == 0


def test_hits_are_counted(http):
    ask(http)
    ask(http)
    metrics = http.get("/metrics").text

    for outcome in ("hit", "miss"):
        assert f'answer_cache_lookups_total{{outcome="{outcome}"}} 1.0' in metrics
    assert "llama_vision_answer_cache_saved_usd_total" in metrics
    assert "llama_vision_answer_cache_stored_total 1.0" in metrics
