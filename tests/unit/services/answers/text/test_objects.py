"""Edge cases of finding objects in a text."""

import pytest

from app.services.answers.text.objects import objects


@pytest.mark.parametrize(
    "text", ['"a":', '"a": {', '"a"', "{", "[", '"a": ,', '"' * 50, '"a":' * 9]
)
def test_members_without_a_value_give_nothing_and_raise_no_error(text):
    assert all(isinstance(written.value, dict | list) for written in objects(text))


def test_members_without_braces_are_read_as_an_object():
    (written,) = objects('"a": 1, "b": "x"')

    assert written.value["b"] == "x"
