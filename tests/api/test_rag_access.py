"""Scopes and tenants' filters of knowledge bases, and that nothing gets around them."""

import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from app.adapters.access import key_file
from app.domain import key, metadata_filter
from app.domain.access import Call, Caller, Scope
from app.domain.errors import RetrievalRefusedError
from app.domain.generation import CallContext
from app.domain.metadata_filter import all_of, parse, passes
from app.domain.retrieval import KnowledgeBase
from app.services.retrieval.directory import effective_filter
from app.services.retrieval.request import RagRequest
from tests.support.fakes.knowledge_base import BASE_ID, NAME, FakeRetriever, chunk, rag_rig
from tests.support.model.scripted import ScriptedVisionModel
from tests.support.service.access import bearer

ACME = {"equals": {"key": "tenant", "value": "acme"}}
OURS = chunk("Our secret is 4711.", "ours.md", metadata={"tenant": "acme", "year": 2024})
THEIRS = chunk("Their secret is 0815.", "theirs.md", metadata={"tenant": "other", "year": 2024})
QUESTION = {"knowledge_base": NAME, "question": "What is the secret?"}


def issued(path: Path, *scopes: str, own: dict[str, Any] | None = None) -> dict[str, str]:
    """Return the header of a new key."""
    text, record = key.issue("test", scopes or (Scope.RAG,), None, own)
    before = key_file.read(path) if path.exists() else ()
    key_file.write(path, (*before, record))
    return bearer(text)


def model() -> ScriptedVisionModel:
    return ScriptedVisionModel(answers=["It is 4711 [1]."])


@pytest.mark.parametrize(
    "wanted",
    [
        None,
        {"equals": {"key": "tenant", "value": "other"}},
        {"orAll": [ACME, {"notEquals": {"key": "tenant", "value": "acme"}}]},
        {"notIn": {"key": "nothing", "value": ["x"]}},
    ],
)
@pytest.mark.parametrize("leaky", [False, True])
def test_a_keys_filter_is_added_to_the_requests_and_cannot_be_widened(
    tmp_path, caplog, wanted, leaky
):
    """The service applies the filter even if the store ignores it."""
    keys, asked = tmp_path / "keys.json", model()
    acme = issued(keys, own=ACME)
    retriever = FakeRetriever([THEIRS, OURS], leaky=leaky)
    rig = rag_rig(retriever=retriever, model=asked, settings={"keys_file": keys})
    body = {**QUESTION, "filter": wanted} if wanted else QUESTION
    with caplog.at_level(logging.DEBUG), rig.client() as client:
        answer = client.post("/v1/rag/query", json=body, headers=acme)

    sent = retriever.queries[0].filter
    assert sent is not None
    assert metadata_filter.passes(sent, {"tenant": "other"}) is False
    everything = answer.text + "".join(turn.text for r in asked.requests for turn in r.turns)
    assert "0815" not in everything
    assert "theirs.md" not in everything
    assert "0815" not in caplog.text


COMPARISONS = st.builds(
    lambda operator, name, value: {operator: {"key": name, "value": value}},
    st.sampled_from(["equals", "notEquals"]),
    st.sampled_from(["tenant", "year", "none"]),
    st.sampled_from(["acme", "other", 2023, 2024, True]),
)
WISHES = st.recursive(
    COMPARISONS,
    lambda inner: st.builds(
        lambda join, parts: {join: parts},
        st.sampled_from(["andAll", "orAll"]),
        st.lists(inner, min_size=2, max_size=3),
    ),
    max_leaves=4,
)
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "tenant": st.sampled_from(["acme", "other"]),
        "year": st.sampled_from([2023, 2024]),
    },
)


@given(WISHES | st.none(), COMPARISONS | st.none(), COMPARISONS | st.none(), DOCUMENTS)
def test_a_chunk_is_dropped_if_any_filter_refuses_it(wanted, own, of_base, metadata):
    filters = [None if each is None else parse(each) for each in (own, of_base, wanted)]
    caller = Caller("a", frozenset({Scope.RAG}), filter=filters[0])
    base = KnowledgeBase(NAME, BASE_ID, "us-west-2", filter=filters[1])
    context = CallContext(Call(caller, Scope.RAG))
    effective = effective_filter(RagRequest(NAME, filter=filters[2], call_context=context), base)

    assert passes(effective, metadata) is all(passes(each, metadata) for each in filters)
    assert passes(effective, metadata) is passes(all_of(*filters), metadata)


@hypothesis_settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(WISHES, st.lists(DOCUMENTS, min_size=1, max_size=6))
def test_only_chunks_that_pass_the_filter_in_plain_python_are_returned(shared, wanted, documents):
    """The store ignores the filter and returns everything."""
    client, retriever = shared
    retriever.chunks = [
        chunk(f"Text {n}.", f"{n}.md", metadata=metadata) for n, metadata in enumerate(documents)
    ]
    body = {**QUESTION, "mode": "retrieve", "filter": wanted, "max_results": 100}
    result = client.post("/v1/rag/query", json=body).json()
    shown = [int(each["document"].removesuffix(".md")) for each in result["used"]]

    assert shown == [n for n, m in enumerate(documents) if passes(parse(wanted), m)]


@pytest.fixture(scope="module")
def shared():
    retriever = FakeRetriever(leaky=True)
    with rag_rig(retriever=retriever).client() as client:
        yield client, retriever


def test_a_knowledge_base_may_be_restricted_to_scopes(tmp_path):
    keys = tmp_path / "keys.json"
    plain, legal = issued(keys, Scope.RAG), issued(keys, Scope.RAG, "rag:legal")
    rig = rag_rig(OURS, base={"scopes": ["rag:legal"]}, model=model(), settings={"keys_file": keys})
    with rig.client() as client:
        closed = client.post("/v1/rag/query", json=QUESTION, headers=plain)
        unlisted = client.get("/v1/rag/knowledge-bases", headers=plain).json()
        opened = client.post("/v1/rag/query", json=QUESTION, headers=legal)
        listed = client.get("/v1/rag/knowledge-bases", headers=legal).json()

    assert (closed.status_code, closed.json()["code"]) == (404, "unknown_knowledge_base")
    assert NAME not in closed.json()["detail"]
    assert unlisted == {"knowledge_bases": []}
    assert opened.status_code == 200
    assert [base["name"] for base in listed["knowledge_bases"]] == [NAME]
    assert BASE_ID not in str(listed)


def test_the_endpoint_and_the_chat_need_the_scope(tmp_path):
    keys = tmp_path / "keys.json"
    other = issued(keys, Scope.GENERATE)
    rig = rag_rig(OURS, model=model(), settings={"keys_file": keys})
    chat = {
        "model": rig.settings.model_id,
        "messages": [{"role": "user", "content": "What is the secret?"}],
        "knowledge_base": NAME,
    }
    with rig.client() as client:
        refused = client.post("/v1/rag/query", json=QUESTION, headers=other)
        chatting = client.post("/v1/chat/completions", json=chat, headers=other)

    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
    assert (chatting.status_code, chatting.json()["error"]["code"]) == (403, "scope_missing")


def test_a_knowledge_base_of_tenants_is_closed_to_callers_without_a_filter(tmp_path):
    keys = tmp_path / "keys.json"
    everyone, acme = issued(keys), issued(keys, own=ACME)
    rig = rag_rig(OURS, base={"requires_filter": True}, model=model(), settings={"keys_file": keys})
    with rig.client() as client:
        codes = [
            client.post("/v1/rag/query", json=QUESTION, headers=headers).status_code
            for headers in (everyone, acme)
        ]

    assert codes == [404, 200]


def test_an_aws_message_about_a_servers_filter_is_not_shown(tmp_path):
    keys = tmp_path / "keys.json"
    acme = issued(keys, own=ACME)
    retriever = FakeRetriever(failing=[RetrievalRefusedError("bad filter tenant = acme")])
    with rag_rig(retriever=retriever, settings={"keys_file": keys}).client() as client:
        refused = client.post("/v1/rag/query", json=QUESTION, headers=acme)

    assert (refused.status_code, refused.json()["code"]) == (400, "retrieval_refused")
    assert "acme" not in refused.text


def test_one_idempotency_key_of_two_callers_shares_nothing(tmp_path):
    keys = tmp_path / "keys.json"
    acme, other = issued(keys, own=ACME), issued(keys)
    retriever = FakeRetriever([THEIRS, OURS])
    rig = rag_rig(retriever=retriever, model=model(), settings={"keys_file": keys})
    with rig.client() as client:
        for headers in (other, acme):
            client.post(
                "/v1/rag/query", json=QUESTION, headers={**headers, "Idempotency-Key": "one"}
            )

    assert len(retriever.queries) == 2


def test_a_job_uses_the_filter_of_its_caller(tmp_path):
    keys = tmp_path / "keys.json"
    acme = issued(keys, Scope.RAG, Scope.GENERATE, own=ACME)
    retriever = FakeRetriever([THEIRS, OURS])
    later = {**acme, "Prefer": "respond-async, wait=30"}
    rig = rag_rig(
        retriever=retriever,
        model=model(),
        settings={"keys_file": keys, "data_directory": tmp_path / "data"},
    )
    chat = {
        "model": rig.settings.model_id,
        "messages": [{"role": "user", "content": "What is the secret?"}],
        "knowledge_base": NAME,
    }
    with rig.client() as client:
        own = client.post("/v1/rag/query", json=QUESTION, headers=later)
        openais = client.post("/v1/chat/completions", json=chat, headers=later)

    assert own.headers["Preference-Applied"] == "respond-async"
    assert [used["document"] for used in own.json()["used"]] == ["ours.md"]
    (annotation,) = openais.json()["choices"][0]["message"]["annotations"]
    assert annotation["url_citation"]["title"] == "ours.md"
    assert [query.filter for query in retriever.queries] == [parse(ACME)] * 2
