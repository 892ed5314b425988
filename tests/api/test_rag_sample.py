"""The sample documents, queried with the examples of Swagger UI."""

from typing import Any

import pytest

from app.api.openapi.examples import RAG
from app.api.v1.rag.schemas import RagForm
from app.cli.dev import KNOWLEDGE_BASES
from tests.support.fakes.knowledge_base import documents_served


@pytest.fixture(scope="module")
def sample():
    with documents_served(knowledge_bases=KNOWLEDGE_BASES) as (client, _):
        yield client


def answered(client: Any, name: str) -> dict[str, Any]:
    answer = client.post("/v1/rag/query", json=RAG[name]["value"])
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    return result


def test_the_first_example_is_answered_with_a_citation(sample):
    result = answered(sample, "question")

    assert result["answered"] is True
    assert "7.20 euros" in result["answer"]
    (citation,) = result["citations"]
    assert (citation["document"], citation["match"]) == ("tickets.md", "exact")
    assert f"[{citation['n']}]" in result["answer"]


def test_the_form_prefilled_by_swagger_ui_is_answered(sample):
    fields = RagForm.model_json_schema()["properties"]
    form = {name: field["examples"][0] for name, field in fields.items() if "examples" in field}
    result = sample.post("/v1/rag/query", files={name: (None, form[name]) for name in form}).json()

    assert result["answered"] is True


@pytest.mark.parametrize("field", ["filter", "history"])
def test_a_field_of_the_form_that_is_not_json_is_named(sample, field):
    form = {"knowledge_base": "sample", "question": "Why?", field: "language = en"}
    refusal = sample.post("/v1/rag/query", files={name: (None, form[name]) for name in form})

    assert refusal.status_code == 400
    assert [error["field"] for error in refusal.json()["errors"]] == [field]


def test_the_example_of_a_filter_shows_only_what_passes(sample):
    result = answered(sample, "filter")

    assert result["used"]
    assert {used["metadata"]["language"] for used in result["used"]} == {"en"}


def test_the_example_without_an_answer_says_so(sample):
    result = answered(sample, "nothing")

    assert (result["answered"], result["answer"]) == (False, None)


def test_a_picture_finds_the_pictures_most_like_it(sample):
    from app.emulator.config import default_knowledge_bases

    (folder,) = default_knowledge_bases().values()
    with open(f"{folder}/platform-sign.png", "rb") as file:  # noqa: PTH123 - a file object to upload
        form = {"knowledge_base": "sample", "mode": "retrieve"}
        result = sample.post("/v1/rag/query", data=form, files={"image": file}).json()

    assert result["query"]["kind"] == "picture"
    assert result["used"][0]["document"] == "platform-sign.png"
    assert result["used"][0]["picture"].startswith("data:image/jpeg;base64,")


def test_results_can_be_ranked_again(sample):
    body = {
        "knowledge_base": "sample",
        "question": "lost property",
        "mode": "retrieve",
        "rerank": True,
        "max_results": 1,
        "search": "hybrid",
    }
    result = sample.post("/v1/rag/query", json=body).json()

    assert [used["document"] for used in result["used"]] == ["opening-hours.html"]


def test_a_row_of_a_table_is_an_answer_and_a_page_has_its_number(sample):
    asked = {"knowledge_base": "sample", "question": "When is the last tram of line 7?"}
    row = sample.post("/v1/rag/query", json=asked).json()
    asked["question"] = "How much of a taxi does the tram pay against the receipt?"
    page = sample.post("/v1/rag/query", json=asked).json()

    assert "last tram: 1:20" in row["answer"]
    assert row["citations"][0]["kind"] == "row"
    assert "25 euros" in page["answer"]
    assert (page["citations"][0]["document"], page["citations"][0]["page"]) == ("conditions.pdf", 2)
