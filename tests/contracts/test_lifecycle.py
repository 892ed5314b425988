"""A model's lifecycle as the control plane reports it, its warnings and its successors."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest

from app.adapters.aws_session import aws_session
from app.adapters.bedrock.control_planes import open_control_planes
from app.adapters.bedrock.lifecycle import Lifecycles
from app.domain.access import Call, Caller
from app.domain.errors import ModelEndOfLifeError, ModelThrottledError
from app.domain.generation import (
    CallContext,
    Completion,
    Finish,
    ModelRequest,
    Role,
    StopReason,
    StreamParts,
    Target,
    Turn,
)
from app.domain.lifecycle import Life, LifeStatus
from app.domain.model import Dialect, identify
from app.domain.usage import Usage
from app.emulator.app import create_emulator
from app.emulator.config import EmulatorConfig
from app.services.lifecycle.models import LifecycleModel, Link, SuccessorModel
from app.services.lifecycle.sentinel import LifecycleSentinel
from app.settings import Settings
from app.telemetry.metrics import Metrics
from tests.support.servers.uvicorn import serving
from tests.support.service.application import Rig

BARE = "meta.llama3-2-11b-instruct-v1:0"
PROFILE = f"us.{BARE}"
LARGE = "meta.llama3-2-90b-instruct-v1:0"
DAY = date(2026, 11, 27)
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


def today() -> date:
    """Return the service's current day, as a run may cross midnight."""
    return datetime.now(UTC).date()


def target(model_id: str) -> Target:
    return Target("us-west-2", model_id, Dialect.INVOKE)


def request(caller: str = "ann") -> ModelRequest:
    call = Call(Caller(caller, frozenset()))
    return ModelRequest((Turn(Role.USER, "Why?"),), call_context=CallContext(call=call))


def life(end: date | None = None, legacy: date | None = None) -> Life:
    return Life(LifeStatus.ACTIVE, "test", NOW, legacy=legacy, end=end)


async def asked(url: str, model_id: str) -> Life:
    async with open_control_planes(aws_session(), url) as plane:
        return await Lifecycles(plane).life(target(model_id), identify(model_id))


@pytest.fixture(scope="module")
def control() -> Iterator[str]:
    config = EmulatorConfig(
        region="us-west-2",
        end_of_life={BARE: DAY + timedelta(days=30)},
        inference_profiles={
            "mixed": (
                f"arn:aws:bedrock:us-west-2::foundation-model/{LARGE}",
                f"arn:aws:bedrock:us-east-1::foundation-model/{BARE}",
            )
        },
    )
    with serving(create_emulator(config)) as url:
        yield url


@pytest.mark.parametrize(
    "model_id",
    [
        BARE,
        PROFILE,
        "arn:aws:bedrock:us-west-2:123456789012:application-inference-profile/mixed",
        "arn:aws:bedrock:us-west-2:123456789012:provisioned-model/abc",
    ],
)
async def test_a_model_or_profile_ends_with_the_earliest_model_it_stands_for(control, model_id):
    found = await asked(control, model_id)

    assert found.end == DAY + timedelta(days=30)
    assert found.legacy == DAY + timedelta(days=30 - 181)
    assert found.extended_access == DAY + timedelta(days=30 - 90)
    assert found.stage(DAY) is LifeStatus.LEGACY


async def test_a_model_without_an_end_is_active_and_an_imported_one_has_none(control):
    assert (await asked(control, LARGE)).stage(DAY) is LifeStatus.ACTIVE
    imported = await asked(control, "arn:aws:bedrock:us-west-2:123456789012:imported-model/abc")
    assert (imported.status, imported.end, imported.source) == (
        LifeStatus.ACTIVE,
        None,
        "GetImportedModel",
    )


async def test_an_imported_model_that_was_deleted_is_missing(control):
    arn = "arn:aws:bedrock:us-west-2:123456789012:imported-model/gone"
    await asked(control, arn)
    async with httpx.AsyncClient() as http:
        deleted = await http.delete(
            f"{control}/imported-models/{arn.replace(':', '%3A').replace('/', '%2F')}"
        )
    assert deleted.status_code == 200

    assert (await asked(control, arn)).status is LifeStatus.MISSING


async def test_without_an_answer_from_aws_the_services_own_table_is_used():
    assert (await asked("http://127.0.0.1:1", PROFILE)).end == date(2026, 7, 7)
    arn = "arn:aws:bedrock:us-west-2:123456789012:imported-model/abc"
    assert (await asked("http://127.0.0.1:1", arn)).status is LifeStatus.UNKNOWN


@pytest.mark.parametrize(
    ("days", "threshold"),
    [(181, None), (180, 180), (91, 180), (90, 90), (45, 45), (31, 45), (30, 30), (7, 7), (-1, 7)],
)
def test_a_warning_is_due_at_180_90_45_30_and_7_days(days, threshold):
    assert life(DAY + timedelta(days=days)).threshold(DAY) == threshold


def test_the_date_moves_a_model_through_its_stages_without_another_call():
    kept = life(end=date(2027, 3, 30), legacy=date(2026, 9, 30))

    stages = [
        kept.stage(day)
        for day in (date(2026, 9, 29), date(2026, 9, 30), date(2027, 3, 29), date(2027, 3, 30))
    ]
    assert stages == [
        LifeStatus.ACTIVE,
        LifeStatus.LEGACY,
        LifeStatus.LEGACY,
        LifeStatus.ENDED,
    ]
    assert kept.notice("m", date(2026, 9, 1)) is None or "in " in str(kept.notice("m", DAY))


@dataclass
class Clock:
    day: date = DAY

    def __call__(self) -> date:
        return self.day


@dataclass
class Named:
    """A model that answers with its name until it has ended."""

    name: str
    ended: bool = False
    calls: int = 0
    failing: Exception | None = field(default=None)

    async def generate(self, request: ModelRequest) -> Completion:
        self.calls += 1
        if self.ended:
            raise ModelEndOfLifeError("This model version has reached the end of its life.")
        if self.failing:
            raise self.failing
        return Completion(self.name, Usage(1, 1), StopReason.STOP, "stop", target=target(self.name))

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[StreamParts]]:
        await self.generate(request)

        async def parts() -> AsyncIterator[StreamParts]:
            yield (Finish(Usage(1, 1), StopReason.STOP, "stop", target=target(self.name)),)

        yield parts()


@dataclass
class Chain:
    """Three models, one the successor of the other."""

    clock: Clock = field(default_factory=Clock)
    models: list[Named] = field(default_factory=lambda: [Named("a"), Named("b"), Named("c")])
    ends: dict[str, date] = field(default_factory=dict)

    def __post_init__(self) -> None:
        targets = [target(model.name) for model in self.models]

        def asks(of: Target) -> Any:
            async def ask() -> Life:
                return life(self.ends.get(of.model_id))

            return ask

        self.metrics = Metrics()
        self.sentinel = LifecycleSentinel(
            {t: asks(t) for t in targets}, self.metrics, today=self.clock
        )
        links = [Link((t,), model) for t, model in zip(targets, self.models, strict=True)]
        self.model = SuccessorModel(links, self.sentinel, self.metrics)
        self.noted: list[tuple[str, dict[str, Any]]] = []
        self.sentinel.note = lambda kind, facts: self.noted.append((kind, dict(facts)))

    async def answered(self) -> tuple[str, list[str]]:
        completion = await self.model.generate(request())
        return completion.text, [warning.code for warning in completion.warnings]


async def test_the_successor_answers_after_an_end_of_life_error_and_every_answer_says_so():
    chain = Chain()
    assert await chain.answered() == ("a", [])
    chain.models[0].ended = True

    assert await chain.answered() == ("b", ["successor_serving"])
    assert await chain.answered() == ("b", ["successor_serving"])
    # The first: one call that met its end. The second: a probe and two calls.
    assert [model.calls for model in chain.models] == [2, 3, 0]
    chain.models[1].ended = True
    assert await chain.answered() == ("c", ["successor_serving"])


async def test_once_the_date_has_passed_the_successor_answers_without_calling_the_old_model():
    chain = Chain(ends={"a": DAY + timedelta(days=1)})
    await chain.sentinel.survey()
    assert (await chain.answered())[0] == "a"

    chain.clock.day += timedelta(days=1)

    assert (await chain.answered())[0] == "b"
    assert chain.models[0].calls == 1


async def test_a_successor_that_has_itself_ended_is_skipped():
    chain = Chain(ends={"a": DAY, "b": DAY})
    await chain.sentinel.survey()

    assert (await chain.answered())[0] == "c"
    assert [model.calls for model in chain.models] == [0, 0, 2]


async def test_a_successor_that_fails_its_probe_never_serves():
    chain = Chain()
    chain.models[0].ended = True
    chain.models[1].failing = ModelThrottledError("busy")

    assert (await chain.answered())[0] == "c"


async def test_a_failed_probe_of_a_successor_is_not_repeated_for_each_caller():
    chain = Chain()
    chain.models[0].ended = True
    for model in chain.models[1:]:
        model.failing = ModelThrottledError("busy")

    answers = await asyncio.gather(*(chain.answered() for _ in range(20)), return_exceptions=True)

    assert {type(answer) for answer in answers} == {ModelEndOfLifeError}
    assert [model.calls for model in chain.models] == [20, 1, 1]
    chain.models[1].failing = None
    chain.model.links[1].refused_until = 0
    assert (await chain.answered())[0] == "b"


async def test_without_a_working_successor_the_error_is_the_models_own():
    chain = Chain()
    for model in chain.models:
        model.ended = True

    with pytest.raises(ModelEndOfLifeError):
        await chain.answered()


async def test_other_errors_do_not_switch_to_a_successor():
    chain = Chain()
    chain.models[0].failing = ModelThrottledError("busy")

    with pytest.raises(ModelThrottledError):
        await chain.answered()
    assert chain.models[1].calls == 0


async def test_the_old_model_returns_after_its_date_moved_and_a_probe_was_answered():
    chain = Chain(ends={"a": DAY})
    await chain.sentinel.survey()
    assert (await chain.answered())[0] == "b"
    del chain.ends["a"]
    chain.models[0].ended = True
    await chain.sentinel.survey()
    assert (await chain.answered())[0] == "b"

    chain.models[0].ended = False
    await chain.sentinel.survey()

    assert await chain.answered() == ("a", [])


async def test_each_switch_of_the_serving_model_is_logged_once():
    chain = Chain(ends={"a": DAY})
    await chain.sentinel.survey()
    await chain.answered()
    await chain.answered()
    del chain.ends["a"]
    await chain.sentinel.survey()
    await chain.sentinel.survey()

    first, second = (str(target(name)) for name in "ab")
    assert chain.noted == [
        ("successor_serves", {"model": second, "instead_of": first}),
        ("model_returns", {"model": first, "instead_of": second}),
    ]


async def test_concurrent_calls_at_the_models_end_probe_the_successor_once():
    chain = Chain()
    chain.models[0].ended = True

    answers = await asyncio.gather(*(chain.answered() for _ in range(20)))

    assert {text for text, _ in answers} == {"b"}
    assert chain.models[1].calls == 21


async def test_a_stream_uses_the_successor_and_says_so_in_its_last_part():
    chain = Chain()
    chain.models[0].ended = True

    async with chain.model.stream(request()) as parts:
        *_, last = [part async for arrived in parts for part in arrived]

    assert isinstance(last, Finish)
    assert [warning.code for warning in last.warnings] == ["successor_serving"]


async def test_each_caller_is_warned_once_a_day():
    clock = Clock()
    of = target("a")

    async def ask() -> Life:
        return life(DAY + timedelta(days=30))

    sentinel = LifecycleSentinel({of: ask}, Metrics(), today=clock)
    await sentinel.survey()
    model = LifecycleModel(Named("a"), of, sentinel)

    async def told(caller: str) -> int:
        return len((await model.generate(request(caller))).warnings)

    assert [await told("ann"), await told("ann"), await told("bob")] == [1, 0, 1]
    clock.day += timedelta(days=1)
    assert [await told("ann"), await told("ann")] == [1, 0]


async def test_an_end_in_the_services_own_table_alone_does_not_switch_to_a_successor():
    async def ask() -> Life:
        return Life(LifeStatus.ACTIVE, "the table", NOW, end=date(2026, 7, 7), told=False)

    sentinel = LifecycleSentinel({target("a"): ask}, Metrics())
    await sentinel.survey()

    assert not sentinel.ended(target("a"))
    assert "ended a on 2026-07-07" in sentinel.notices()[0]


async def test_the_last_answer_of_aws_is_used_while_aws_does_not_answer():
    said = [life(DAY), Life(LifeStatus.UNKNOWN, "away", NOW)]

    async def ask() -> Life:
        return said.pop(0)

    sentinel = LifecycleSentinel({target("a"): ask}, Metrics())
    await sentinel.survey()
    await sentinel.survey()

    assert sentinel.ended(target("a"))


def profile(name: str, model: str) -> dict[str, tuple[str, ...]]:
    return {name: (f"arn:aws:bedrock:us-west-2::foundation-model/{model}",)}


@contextmanager
def service(**more: Any) -> Iterator[tuple[httpx.Client, str]]:
    config = EmulatorConfig(region="us-west-2")
    with serving(create_emulator(config)) as url:
        settings = Settings(
            _env_file=None,
            endpoint_url=url,
            model_id=PROFILE,
            lifecycle=True,
            lifecycle_interval=0.05,
            **more,
        )
        with (
            serving(Rig(model=None, settings=settings).app()) as address,
            httpx.Client(base_url=address, timeout=60) as http,
        ):
            yield http, url


def end(url: str, model: str, day: date | None) -> None:
    body = {"end_of_life": day and day.isoformat()}
    httpx.post(f"{url}/_emulator/foundation-models/{model}", json=body).raise_for_status()


def until(http: httpx.Client, stage: str) -> dict[str, Any]:
    for _ in range(500):
        lives = http.get("/v1/models").json()["data"][0]["lifecycle"]
        if lives and lives[0]["status"] == stage:
            return dict(lives[0])
        time.sleep(0.02)
    raise AssertionError(f"the model never was {stage}")


def test_over_http_models_readiness_metrics_and_answers_report_the_end():
    with service() as (http, url):
        until(http, "active")
        day = today() + timedelta(days=45)
        end(url, BARE, day)

        told = until(http, "legacy")
        answer = http.post("/v1/generate", json={"prompt": "Why?"}).json()
        again = http.post("/v1/generate", json={"prompt": "Why?"}).json()

        assert (told["days_left"], told["end"]) == (45, day.isoformat())
        assert [w["code"] for w in answer["warnings"]] == ["model_lifecycle"]
        assert again["warnings"] == []
        assert "in 45 days" in http.get("/readyz").json()["lifecycle"][0]
        assert "llama_vision_model_days_left{" in http.get("/metrics").text


def test_over_http_a_chain_of_three_models_serves_in_turn_and_returns():
    imported = f"arn:aws:bedrock:us-west-2:123456789012:imported-model/{uuid.uuid4().hex[:12]}"
    chain = [{"model_id": f"us.{LARGE}"}, {"model_id": imported}]
    with service(successors=chain) as (http, url):

        def served() -> tuple[str, list[str]]:
            answer = http.post("/v1/generate", json={"prompt": "Why?"}).json()
            codes = [w["code"] for w in answer["warnings"] if w["code"] != "model_lifecycle"]
            return answer["model"], codes

        until(http, "active")
        assert served() == (PROFILE, [])
        end(url, BARE, today())
        assert served() == (f"us.{LARGE}", ["successor_serving"])
        end(url, LARGE, today())
        assert served() == (imported, ["successor_serving"])
        assert f'successor_serving{{target="us-west-2/{imported}/chat"}} 1.0' in (
            http.get("/metrics").text
        )

        end(url, BARE, None)
        for _ in range(500):
            if served() == (PROFILE, []):
                break
            time.sleep(0.02)
        assert served() == (PROFILE, [])


def test_without_successors_the_model_is_never_switched():
    with service() as (http, url):
        end(url, BARE, today())

        refused = http.post("/v1/generate", json={"prompt": "Why?"})

        assert refused.json()["code"] == "model_end_of_life"
