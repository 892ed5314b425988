"""OpenAI's SDK queries a knowledge base by ``extra_body`` and gets citations as annotations."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.support.fakes.knowledge_base import NAME, FakeRetriever, chunk, rag_rig
from tests.support.model.scripted import ScriptedVisionModel
from tests.support.servers.uvicorn import serving

CIDER = chunk("The orchard sells cider at 4.50 a bottle.", metadata={"kind": "farm"})
SAID = 'It costs "4.50 a bottle" [1]. It is organic [9].'


@pytest.fixture
def asked() -> Iterator[tuple[openai.OpenAI, FakeRetriever, ScriptedVisionModel, str]]:
    retriever, model = FakeRetriever([CIDER]), ScriptedVisionModel(answers=[SAID])
    rig = rag_rig(retriever=retriever, model=model)
    with serving(rig.app()) as url:
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
        yield client, retriever, model, rig.settings.model_id
        client.close()


def messages(*texts: str) -> Any:
    roles = ("user", "assistant")
    return [{"role": roles[n % 2], "content": text} for n, text in enumerate(texts)]


def test_citations_are_annotations_of_the_message(asked):
    client, retriever, _, name = asked
    answer = client.chat.completions.create(
        model=name,
        messages=messages("What do you sell?", "Cider [2].", "And its price?"),
        extra_body={
            "knowledge_base": {
                "name": NAME,
                "filter": {"equals": {"key": "kind", "value": "farm"}},
                "max_results": 3,
            }
        },
    )
    message = answer.choices[0].message
    (annotation,) = list(message.annotations or [])
    cited = annotation.url_citation

    assert message.content == 'It costs "4.50 a bottle" [1]. It is organic.'
    assert message.content[cited.start_index : cited.end_index] == "[1]"
    assert (cited.url, cited.title) == ("s3://documents/orchard.md", "orchard.md")
    assert cited.model_extra == {
        "n": 1, "page": None, "score": 0.9, "quote": "4.50 a bottle", "match": "exact",
    }  # fmt: skip
    assert (answer.model_extra or {})["rag"]["answered"] is True
    assert answer.usage is not None
    assert answer.usage.total_tokens == 110
    (query,) = retriever.queries
    assert (query.text, query.results) == ("What do you sell?\nAnd its price?", 3)


def test_a_stream_carries_citations_before_its_end(asked):
    client, _, _, name = asked
    chunks = list(
        client.chat.completions.create(
            model=name,
            messages=messages("Its price?"),
            stream=True,
            stream_options={"include_usage": True},
            extra_body={"knowledge_base": NAME},
        )
    )
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    text = "".join(delta.content or "" for delta in deltas)
    extras = [delta.model_extra for delta in deltas if (delta.model_extra or {}).get("annotations")]

    assert text == 'It costs "4.50 a bottle" [1]. It is organic.'
    assert [each["url_citation"]["n"] for each in (extras[0] or {})["annotations"]] == [1]
    assert chunks[-1].usage is not None
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"


def test_an_answer_that_the_documents_do_not_contain_is_stated_and_typed(asked):
    client, retriever, model, name = asked
    retriever.chunks.clear()
    answer = client.chat.completions.create(
        model=name, messages=messages("Its price?"), extra_body={"knowledge_base": NAME}
    )

    assert answer.choices[0].message.content == "The documents do not answer this."
    assert (answer.model_extra or {})["rag"]["reason"] == "nothing_retrieved"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 0
    assert model.requests == []


@pytest.mark.parametrize(
    ("more", "status", "param"),
    [
        ({"knowledge_base": "nothing"}, 404, "knowledge_base"),
        ({"knowledge_base": 3}, 400, "knowledge_base"),
        ({"knowledge_base": {"name": NAME, "filter": {"near": {}}}}, 400, "knowledge_base.filter"),
        ({"knowledge_base": NAME, "stop": ["x"]}, 400, "stop"),
        ({"knowledge_base": NAME, "response_format": {"type": "json_object"}}, 400, "response"),
    ],
)
def test_an_impossible_request_is_refused_by_its_parameter(asked, more, status, param):
    client, retriever, _, name = asked
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model=name, messages=messages("Its price?"), extra_body=more)

    assert caught.value.status_code == status
    assert str((caught.value.body or {}).get("param")).startswith(param)  # type: ignore[attr-defined]
    assert retriever.queries == []


def test_options_of_a_knowledge_base_that_are_null_count_as_left_out(asked):
    client, retriever, _, name = asked
    options = {"name": NAME, "filter": None, "max_results": None, "search": None, "rerank": None}
    client.chat.completions.create(
        model=name, messages=messages("Its price?"), extra_body={"knowledge_base": options}
    )

    assert [query.results for query in retriever.queries] == [5]


def test_an_answer_without_a_knowledge_base_has_no_citations(asked):
    client, _, _, name = asked
    answer = client.chat.completions.create(model=name, messages=messages("Its price?"))

    assert "rag" not in (answer.model_extra or {})
    assert answer.choices[0].message.annotations is None
