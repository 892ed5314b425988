from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.metadata_filter import (
    MAX_COMPARISONS,
    FilterError,
    Group,
    Join,
    Operator,
    all_of,
    parse,
    passes,
    written,
)

FARM = {"year": 2024, "kind": "farm", "tags": ["fruit", "drink"], "open": True}


def leaf(operator: str, key: str, value: Any) -> dict[str, Any]:
    return {operator: {"key": key, "value": value}}


@pytest.mark.parametrize(
    ("wanted", "kept"),
    [
        (leaf("equals", "kind", "farm"), True),
        (leaf("equals", "open", True), True),
        (leaf("equals", "open", 1), False),
        (leaf("notEquals", "kind", "farm"), False),
        (leaf("notEquals", "missing", "farm"), True),
        (leaf("greaterThan", "year", 2024), False),
        (leaf("greaterThanOrEquals", "year", 2024), True),
        (leaf("lessThan", "year", 2024.5), True),
        (leaf("lessThanOrEquals", "year", 2023), False),
        (leaf("lessThan", "kind", 5), False),
        (leaf("lessThan", "open", 5), False),
        (leaf("in", "kind", ["shop", "farm"]), True),
        (leaf("notIn", "kind", ["shop", "farm"]), False),
        (leaf("notIn", "missing", ["shop"]), True),
        (leaf("startsWith", "kind", "fa"), True),
        (leaf("startsWith", "missing", ""), False),
        (leaf("listContains", "tags", "fruit"), True),
        (leaf("listContains", "kind", "farm"), False),
        (leaf("stringContains", "kind", "ar"), True),
        (leaf("stringContains", "tags", "ruit"), True),
        ({"andAll": [leaf("equals", "kind", "farm"), leaf("lessThan", "year", 2000)]}, False),
        ({"orAll": [leaf("equals", "kind", "shop"), leaf("greaterThan", "year", 2000)]}, True),
    ],
)
def test_a_filter_passes_exactly_what_its_operators_say(wanted, kept):
    assert passes(parse(wanted), FARM) is kept


@pytest.mark.parametrize(
    ("wanted", "path"),
    [
        ({}, ""),
        ("equals", ""),
        ({"near": {"key": "a", "value": 1}}, ""),
        ({**leaf("equals", "a", 1), **leaf("in", "a", [1])}, ""),
        (leaf("equals", "", 1), "equals.key"),
        (leaf("equals", "a" * 101, 1), "equals.key"),
        (leaf("equals", "a", None), "equals.value"),
        (leaf("equals", "a", [1]), "equals.value"),
        (leaf("greaterThan", "a", "1"), "greaterThan.value"),
        (leaf("greaterThan", "a", True), "greaterThan.value"),
        (leaf("in", "a", "x"), "in.value"),
        (leaf("in", "a", []), "in.value"),
        (leaf("startsWith", "a", 1), "startsWith.value"),
        (leaf("equals", "a", "x" * 2001), "equals.value"),
        ({"equals": {"key": "a", "value": 1, "more": 2}}, "equals"),
        ({"andAll": [leaf("equals", "a", 1)]}, "andAll"),
        ({"andAll": [leaf("equals", "a", 1), {"orAll": [1, 2]}]}, "andAll.1.orAll.0"),
    ],
)
def test_an_invalid_filter_is_refused_with_its_path(wanted, path):
    with pytest.raises(FilterError) as caught:
        parse(wanted)

    assert caught.value.path == path


def test_depth_and_size_are_bounded():
    deep: dict[str, Any] = leaf("equals", "a", 1)
    for _ in range(6):
        deep = {"orAll": [deep, leaf("equals", "a", 1)]}
    wide = {"orAll": [{"orAll": [leaf("equals", "a", 1)] * 60}] * 2}
    assert MAX_COMPARISONS < 120

    for wanted in (deep, wide):
        with pytest.raises(FilterError):
            parse(wanted)


SCALARS = st.booleans() | st.integers(-2, 2) | st.sampled_from(["x", "xy", ""])
VALUES = {
    **dict.fromkeys(["equals", "notEquals"], SCALARS),
    **dict.fromkeys(
        ["greaterThan", "greaterThanOrEquals", "lessThan", "lessThanOrEquals"], st.integers(-2, 2)
    ),
    **dict.fromkeys(["in", "notIn"], st.lists(SCALARS, min_size=1, max_size=3)),
    **dict.fromkeys(
        ["startsWith", "listContains", "stringContains"], st.sampled_from(["x", "y", ""])
    ),
}
LEAVES = st.sampled_from([*Operator]).flatmap(
    lambda operator: st.builds(
        leaf, st.just(operator.value), st.sampled_from("ab"), VALUES[operator]
    )
)
FILTERS = st.recursive(
    LEAVES,
    lambda inner: st.builds(
        lambda join, each: {join: each},
        st.sampled_from([*map(str, Join)]),
        st.lists(inner, min_size=2, max_size=3),
    ),
    max_leaves=6,
).filter(lambda wanted: str(wanted).count("All") < 5)
METADATA = st.dictionaries(
    st.sampled_from("ab"), SCALARS | st.lists(st.sampled_from(["x", "xy"]), max_size=2), max_size=2
)


@given(FILTERS)
def test_a_filter_is_serialised_as_it_was_parsed(wanted):
    assert written(parse(wanted)) == wanted


@given(st.lists(FILTERS, max_size=3), METADATA)
def test_combined_filters_pass_only_what_each_passes(wanted, metadata):
    filters = [parse(each) for each in wanted]

    assert passes(all_of(*filters), metadata) is all(passes(each, metadata) for each in filters)


def test_filters_joined_by_and_become_one_group():
    tenant, own = parse(leaf("equals", "a", 1)), parse({"andAll": [leaf("in", "b", [1])] * 2})

    joined = all_of(tenant, None, own)

    assert isinstance(joined, Group)
    assert len(joined.parts) == 3
    assert all_of(None) is None
    assert all_of(tenant) is tenant
