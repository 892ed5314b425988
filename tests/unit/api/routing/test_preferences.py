"""The ``Prefer`` header of RFC 7240 in every spelling."""

import pytest

from app.api.routing.preferences import parsed


@pytest.mark.parametrize(
    ("header", "preferences"),
    [
        ("respond-async", {"respond-async": ""}),
        ("Respond-Async, WAIT=10", {"respond-async": "", "wait": "10"}),
        ('wait = "10" ; a=b,respond-async', {"wait": "10", "a": "b", "respond-async": ""}),
        ("respond-async,,wait=5", {"respond-async": "", "wait": "5"}),
        ('respond-async=""', {"respond-async": ""}),
        ('foo="a, respond-async, b", wait=1', {"foo": "a, respond-async, b", "wait": "1"}),
        (r'foo="a\"b"', {"foo": 'a"b'}),
        ("wait=1, wait=30", {"wait": "1"}),
        ("respond-async=x", {"respond-async": "x"}),
        ("", {}),
        (" , ;", {}),
        ('wait=5, "', {"wait": "5"}),
    ],
)
def test_preferences_are_parsed_with_values_and_parameters(header, preferences):
    assert parsed(header) == preferences
