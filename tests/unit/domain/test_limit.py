"""Parsing of configured rate limits."""

import pytest

from app.domain.access import Resource, Scope
from app.domain.limit import Quota, parse


def test_rates_are_parsed_with_their_windows_and_scopes():
    assert parse({"requests": "10/second; 300 / 5 minutes", "tasks:spend": "0.29/day"}) == (
        Quota("requests", Resource.REQUESTS, None, 10, 1),
        Quota("requests", Resource.REQUESTS, None, 300, 300),
        Quota("tasks:spend", Resource.SPEND, Scope.TASKS, 290_000, 86_400),
    )


def test_a_quota_is_printed_in_its_configured_unit():
    assert str(parse({"spend": "0.5/day"})[0]) == "spend: 0.5 per 86400 s"


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"wishes": "1/day"}, "wishes: is not one of requests"),
        ({"root:tokens": "1/day"}, "root:tokens: is not one of"),
        ({"admin:requests": "1/day"}, "admin:requests: would never count; .* generate, tasks, im"),
        (
            {"images:tiles": "1/day"},
            "images:tiles: would never count; .* for generate, tasks, rag$",
        ),
        ({"metrics:spend": "1/day"}, "metrics:spend: would never count"),
        ({"tokens": "many"}, "tokens: 'many' is not a rate"),
        ({"tokens": "1/fortnight"}, "not a rate"),
        ({"tokens": "1.5/day"}, "whole number"),
        ({"tokens": "-1/day"}, "not a rate"),
    ],
)
def test_an_invalid_limit_is_refused_by_name(limits, said):
    with pytest.raises(ValueError, match=said):
        parse(limits)
