"""Output forms enforced during generation by an imported model, on the emulator."""

import itertools
import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from app.emulator.app import create_emulator
from app.emulator.config import EmulatorConfig
from app.settings import Settings
from tests.support.clients.metrics import value
from tests.support.files.drawn_words import words
from tests.support.files.pictures import b64
from tests.support.servers.uvicorn import serving
from tests.support.service.application import Rig

# One worker loads the OCR engine, once.
pytestmark = pytest.mark.xdist_group("reading")

RECEIPT = words("Corner Shop", "Date: 2026-03-01", "Total: 42.10", "Currency: EUR")
FRUIT = words("zebra crossing", "apples: 12", "pears: 7", "plums: 4")
SCHEMA = {
    "type": "object",
    "required": ["vendor", "kind"],
    "properties": {
        "vendor": {"type": "string", "description": "who sells"},
        "kind": {"enum": ["invoice", "receipt", "other"]},
        "paid": {"type": "boolean"},
        "code": {"type": "string", "pattern": "^[A-Z]{3}$"},
        "count": {"type": "integer", "minimum": 1, "maximum": 9},
        "items": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {"name": {"type": "string"}, "price": {"type": "number"}},
            },
        },
    },
}
REFUSED = {
    "type": "object",
    "required": ["words"],
    "properties": {"words": {"type": "array", "uniqueItems": True, "items": {"type": "string"}}},
}
ASKED: list[tuple[str, dict[str, Any]]] = [
    ("caption", {"style": "short"}),
    ("caption", {"style": "product"}),
    ("vqa", {"question": "What is the total?"}),
    ("vqa", {"question": "Read all words"}),
    ("vqa", {"question": "Where is the cat?"}),
    ("vqa", {"question": "Is this a shop?", "choices": ["yes", "no"]}),
    ("reasoning", {"question": "How many pears?"}),
    ("document-qa", {"question": "What is the total?"}),
    ("document-qa", {"question": "How many pears?"}),
    ("ocr", {"layout": "plain"}),
    ("ocr", {"layout": "lines"}),
    ("ocr", {"layout": "markdown"}),
    ("ocr", {"layout": "table"}),
    ("extract", {"schema": SCHEMA}),
    ("grounding", {"phrases": []}),
    ("grounding", {"phrases": ["Total", "cat"]}),
    ("chart", {"question": "Which is most?"}),
    ("diagram", {"question": "What comes next?"}),
    ("inspection", {"object": "paper", "look_for": ["tear"]}),
    ("classify", {"labels": ["receipt", "zebra"]}),
    ("classify", {"labels": ["shop", "pears"], "multiple": True}),
    ("retrieval", {"query": "zebra"}),
    ("retrieval", {"texts": ["a shop", "a zebra"]}),
]


@dataclass(frozen=True)
class Asked:
    """A service and the emulator's record of its calls."""

    http: httpx.Client
    emulator_url: str
    model_id: str

    def task(self, name: str, *images: bytes, **parameters: Any) -> dict[str, Any]:
        body = {"images": [b64(image) for image in images], **parameters}
        answer = self.http.post(f"/v1/tasks/{name}", json=body)
        assert answer.status_code == 200, answer.text
        said: dict[str, Any] = answer.json()
        return said

    def chat(self, schema: dict[str, Any], **more: Any) -> httpx.Response:
        form = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
        return self.http.post(
            "/v1/chat/completions",
            json={
                "model": self.model_id,
                "messages": [{"role": "user", "content": "Say it."}],
                "response_format": form,
            },
            **more,
        )

    def seen(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = httpx.get(
            f"{self.emulator_url}/_emulator/requests", params={"model_id": self.model_id}
        ).json()["requests"]
        return found

    def counted(self, name: str, **labels: str) -> float:
        text = self.http.get("/metrics").text
        try:
            return value(text, name, **labels)
        except KeyError:  # Nothing has been counted yet.
            return 0


Open = Callable[..., AbstractContextManager[Asked]]


@pytest.fixture(scope="module")
def emulator() -> Iterator[str]:
    with serving(create_emulator(EmulatorConfig(record_prompts=True))) as url:
        yield url


@pytest.fixture(scope="module")
def opened(emulator: str) -> Open:
    @contextmanager
    def open_service(**settings: Any) -> Iterator[Asked]:
        name = uuid.uuid4().hex[:12]
        model_id = f"arn:aws:bedrock:us-east-1:123456789012:imported-model/{name}"
        made = Settings(
            _env_file=None,
            region="us-east-1",
            model_id=model_id,
            endpoint_url=emulator,
            usage_store="memory",
            **settings,
        )
        with Rig(None, settings=made).client() as client:
            yield Asked(client, emulator, model_id)

    return open_service


@pytest.fixture
def service(opened: Open) -> Iterator[Asked]:
    with opened() as service:
        yield service


def test_a_constrained_task_never_needs_a_repair(service):
    tasks = service.http.get("/v1/tasks").json()["tasks"]
    assert {name for name, _ in ASKED} | {"compare"} == {task["name"] for task in tasks}

    for (name, parameters), image in itertools.product(ASKED, (RECEIPT, FRUIT)):
        said = service.task(name, image, **parameters)
        assert (said["valid"], said["repaired"]) == (True, False), (name, parameters, said)
    for strategy in ("auto", "each", "contact_sheet"):
        said = service.task("compare", RECEIPT, FRUIT, image_strategy=strategy)
        assert (said["valid"], said["repaired"]) == (True, False)

    assert {call["constraint"] for call in service.seen()} <= {"json", "choice"}
    assert service.counted("llama_vision_formed_answers_total", way="enforced") == len(
        service.seen()
    )
    assert service.counted("llama_vision_formed_answers_total", way="prompt") == 0
    assert service.counted("llama_vision_repairs_total", way="enforced") == 0


def test_the_prompt_is_shorter_where_the_output_form_is_enforced(opened):
    prompts = []
    for enforced in (True, False):
        with opened(structured_output=enforced) as service:
            service.task("caption", RECEIPT)
            (call,) = service.seen()
            prompts.append(call["prompt"])
            assert bool(call["constraint"]) is enforced
            able = service.http.get("/v1/models").json()["data"][0]["capabilities"]
            assert able["structured_output"] is able["choice"] is enforced

    assert prompts[0]["characters"] < prompts[1]["characters"]
    assert '{"caption": string' in prompts[1]["text"]
    assert '{"caption"' not in prompts[0]["text"]
    assert "at most 125 characters" in prompts[0]["text"]


def test_a_schema_that_the_model_refuses_moves_to_the_prompt_and_is_remembered(service):
    first, second = service.chat(REFUSED), service.chat(REFUSED)

    for answer in (first, second):
        assert answer.status_code == 200, answer.text
        assert [w["code"] for w in answer.json()["warnings"]] == ["form_not_enforced"]
        content = answer.json()["choices"][0]["message"]["content"]
        assert json.loads(content).keys() == {"words"}
    # The schema is sent once and never again.
    assert [call["status"] for call in service.seen()] == [400, 200, 200]
    assert service.counted("llama_vision_forms_refused_total") == 1
    assert service.chat(SCHEMA).json()["warnings"] == []


def test_retrying_a_refused_schema_under_one_idempotency_key_is_paid_for_once(service):
    headers = {"Idempotency-Key": "k"}
    first, second = service.chat(REFUSED, headers=headers), service.chat(REFUSED, headers=headers)

    assert first.json()["id"] == second.json()["id"]
    assert [call["status"] for call in service.seen()] == [400, 200]


def test_an_object_with_a_single_enum_property_is_sent_as_a_choice(service):
    answer = service.chat(
        {
            "type": "object",
            "required": ["label"],
            "properties": {"label": {"type": "string", "enum": ["cat", "dog"]}},
        }
    ).json()

    (choice,) = answer["choices"]
    assert json.loads(choice["message"]["content"]) == {"label": choice["generation"]}
    assert [call["constraint"] for call in service.seen()] == ["choice"]


def test_a_schema_too_deep_to_compile_fast_is_sent_in_the_prompt(service):
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(6):
        deep = {"type": "object", "required": ["a"], "properties": {"a": deep}}
    answer = service.chat(deep).json()

    assert answer["choices"][0]["message"]["refusal"] is None
    (call,) = service.seen()
    assert call["constraint"] is not None
    assert '{"a": {"a": ' in call["prompt"]["text"]


def test_a_confidence_is_computed_from_the_tokens_of_the_answer(service):
    told = service.task("vqa", RECEIPT, question="What is the total?")["result"]

    assert told["answer"] == "42.10"
    assert 0.8 <= told["confidence_probability"] < 1
    assert told["confidence"] == "high"
    assert service.seen()[0]["logprobs"]


def test_choices_have_their_probabilities(service):
    told = service.task(
        "vqa", RECEIPT, question="Is this a Corner Shop?", choices=["no", "yes", "unclear"]
    )["result"]

    assert told["answer"] == told["choices"][0]["choice"] == "yes"
    assert told["choices"][0]["probability"] == told["confidence_probability"]
    assert sum(choice["probability"] for choice in told["choices"]) == pytest.approx(1, abs=0.01)
    assert [call["constraint"] for call in service.seen()] == ["choice"]


def test_retrieval_scores_are_the_probability_of_a_match(service):
    ranking = service.task("retrieval", RECEIPT, FRUIT, query="zebra")["result"]["ranking"]

    assert [entry["index"] for entry in ranking] == [1, 0]
    assert ranking[0]["score"] > 0.5 > ranking[1]["score"]
    assert all(entry["score"] == entry["probability"] for entry in ranking)


@pytest.mark.parametrize(("count", "calls"), [(2, [2]), (3, [3]), (4, [1, 1, 1, 1, 0])])
def test_compared_pictures_are_sent_as_they_are_where_they_fit(service, count, calls):
    said = service.task("compare", *[RECEIPT, FRUIT, RECEIPT, FRUIT][:count])

    assert said["valid"]
    assert [call["image_count"] for call in service.seen()] == calls
    assert "contact_sheet" not in [warning["code"] for warning in said["warnings"]]


def test_a_model_without_log_probabilities_invents_no_number(emulator):
    settings = Settings(_env_file=None, endpoint_url=emulator, usage_store="memory")
    with Rig(None, settings=settings).client() as client:
        service = Asked(client, emulator, settings.model_id)
        vqa = service.task("vqa", RECEIPT, question="What is the total?")["result"]
        closed = service.task("vqa", RECEIPT, question="A shop?", choices=["yes", "no"])["result"]
        (ranked,) = service.task("retrieval", FRUIT, query="zebra")["result"]["ranking"]

    assert vqa.keys() == {"answer", "found", "confidence", "evidence"}
    assert [choice["probability"] for choice in closed["choices"]] == [None, None]
    assert (closed["confidence"], "confidence_probability" in closed) == (None, False)
    assert (ranked["score"], "probability" in ranked) == (1, False)
