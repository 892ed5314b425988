"""A caller's stored rights apply to work that is done later."""

from dataclasses import fields

import orjson

from app.domain import metadata_filter
from app.domain.access import Caller, Scope
from app.services.access import kept_caller

WHOLE = Caller(
    "ann",
    frozenset({Scope.GENERATE, "rag:legal"}),
    "Ann",
    {"requests": "1/second"},
    metadata_filter.parse({"equals": {"key": "tenant", "value": "acme"}}),
    {"output": "enforce"},
    "off",
)


def test_everything_that_applies_to_a_caller_is_stored():
    kept = orjson.loads(orjson.dumps(kept_caller.written(WHOLE)))

    assert kept_caller.read("ann", kept) == WHOLE
    assert {"id", *kept} == {field.name for field in fields(Caller)}


def test_an_entry_of_an_earlier_release_is_read():
    caller = kept_caller.read("ann", {"scopes": ["generate"], "name": "", "limits": {}})

    assert (caller.filter, caller.guardrail, caller.cache) == (None, {}, None)
