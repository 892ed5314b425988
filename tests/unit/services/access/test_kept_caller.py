"""A caller who is kept with a job may see and do later what it may now, and no more."""

from dataclasses import fields

from app.domain.access import Caller, Scope
from app.domain.metadata_filter import parse
from app.services.access.kept_caller import read, written

FULL = Caller(
    "ann",
    frozenset({Scope.RAG, "rag:legal"}),
    "Ann",
    {"requests": "1/second"},
    filter=parse({"equals": {"key": "tenant", "value": "acme"}}),
    guardrail={"input": "enforce"},
    cache="off",
)


def test_all_of_a_caller_is_kept():
    assert read(written(FULL)) == FULL
    assert all(getattr(FULL, field.name) for field in fields(Caller)), "a new field: keep it too"


def test_one_kept_before_there_were_filters_has_none():
    old = {"id": "ann", "scopes": ["generate"], "name": "", "limits": {}}

    assert read(old) == Caller("ann", frozenset({Scope.GENERATE}))
