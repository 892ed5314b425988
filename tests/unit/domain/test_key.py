"""API keys as values."""

import json

import pytest

from app.domain import key, metadata_filter
from app.domain.access import Scope


def test_a_key_matches_its_record_and_no_other():
    text, record = key.issue("a", [Scope.GENERATE])
    other, _ = key.issue("b", [Scope.GENERATE])
    parts, others = key.split(text), key.split(other)

    assert parts is not None
    assert others is not None
    assert parts[0] == record.id
    assert record.matches(parts[1])
    assert not record.matches(others[1])
    assert not record.matches("")


def test_a_record_contains_a_salt_of_its_own_and_nothing_of_the_secret():
    text, record = key.issue("a", [Scope.GENERATE])
    parts = key.split(text)

    assert parts is not None
    assert parts[1] not in key.render([record])
    assert record.hash.split("$")[1] != key.issue("a", [])[1].hash.split("$")[1]


def test_a_key_with_an_unknown_id_fails_the_comparison_too():
    assert not key.NO_KEY.matches("")
    assert not key.NO_KEY.matches("x" * 43)


@pytest.mark.parametrize("text", ["", "lvk_", "lvk_0123456789ab_short", "sk-abc", "a.b.c"])
def test_text_without_the_format_of_a_key_is_not_a_key(text):
    assert key.split(text) is None


def test_records_survive_writing_and_reading():
    records = tuple(
        key.issue(name, [Scope.ADMIN, Scope.TASKS], {"requests": "1/second"})[1] for name in "ab"
    )

    assert key.parse(key.render(records)) == records


def entry(**changes: object) -> str:
    (record,) = json.loads(key.render([key.issue("a", [Scope.TASKS])[1]]))
    return json.dumps([{**record, **changes}])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ("{}", "not a JSON list"),
        ("[1]", "entry 0: is not an object"),
        ('[{"id": "x"}]', "entry 0: has no hash, name, scopes"),
        (entry(hash="plain"), "entry 0: hash"),
        (entry(scopes=["root"]), "entry 0: 'root' is no scope; there are generate,"),
        (entry(limits=[]), "entry 0: limits"),
        (entry(surprise=1), "entry 0: surprise: there is no such member"),
        (entry(hash=5), "entry 0: 5 is not a text"),
        (entry(name="Ann\tvalid"), "entry 0: 'Ann"),
        (f"{entry()[:-1]}, {entry(id='twice')[1:-1]}, {entry(id='twice')[1:]}", "twice"),
    ],
    # Ids and hashes differ in each test process, but test ids must not.
    ids=lambda value: value if len(value) < 40 else "entry",
)
def test_an_invalid_list_is_refused_naming_the_entry(text, said):
    with pytest.raises(ValueError, match=said):
        key.parse(text)


def test_a_key_can_carry_a_filter_and_scopes_of_knowledge_bases():
    wanted = {"equals": {"key": "tenant", "value": "acme"}}
    _, record = key.issue("a", [Scope.RAG, "rag:legal"], None, wanted)

    (kept,) = key.parse(key.render([record]))

    assert kept.caller.scopes == {"rag", "rag:legal"}
    assert kept.caller.filter == metadata_filter.parse(wanted)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"filter": {"equals": {"key": "tenant"}}}, "entry 0: filter: equals"),
        ({"filter": []}, "entry 0: filter"),
        ({"scopes": ["rag:"]}, "entry 0"),
        ({"scopes": ["legal"]}, "entry 0"),
    ],
)
def test_a_malformed_filter_or_scope_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        key.parse(entry(**changes))
