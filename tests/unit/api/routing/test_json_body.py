"""JSON is bounded before it is parsed."""

import json

import pytest
from fastapi.exceptions import RequestValidationError

from app.api.routing import json_body
from app.api.routing.json_body import MOST_VALUES, loads
from app.domain.errors import InvalidParameterError


def refused(raw: bytes) -> str:
    with pytest.raises(InvalidParameterError) as raised:
        loads(raw)
    return raised.value.detail


@pytest.mark.parametrize(
    "raw",
    [
        b'{"images": [' + b"0," * MOST_VALUES + b"0]}",
        b"[" + b"[]," * MOST_VALUES + b"0]",
        b"{" + b",".join(b'"%d": 0' % i for i in range(MOST_VALUES + 1)) + b"}",
        b"[" + b'"",' * MOST_VALUES + b'""]',
        b"[" + b'"a\\"b",' * MOST_VALUES + b'""]',
        b"," * (MOST_VALUES + 1),
    ],
    ids=["list", "lists", "map", "texts", "quotes", "no JSON"],
)
def test_a_body_of_too_many_values_is_refused_before_it_is_parsed(raw, monkeypatch):
    monkeypatch.setattr(json_body, "from_json", None)

    assert "values or more; at most 10,000" in refused(raw)


@pytest.mark.parametrize(
    "raw",
    [
        json.dumps({"messages": [{"role": "user", "content": "x"}] * 200_001}).encode(),
        b'"' * 2_000_000 + b"," * (MOST_VALUES + 1),
    ],
    ids=["chat", "quotes"],
)
def test_values_are_counted_only_until_the_limit_is_exceeded(raw, monkeypatch):
    ends = []
    text_end = json_body._text_end

    def noted(raw: bytes, start: int) -> int:
        ends.append(text_end(raw, start))
        return ends[-1]

    monkeypatch.setattr(json_body, "_text_end", noted)

    assert "has 10,001 values or more" in refused(raw)
    assert len(ends) <= json_body.MOST_TEXTS + 1


@pytest.mark.parametrize("text", [b"\\n" + b"a" * 2_000_000, b"\\n" * 500_000, b"\\na" * 500_000])
def test_a_long_text_is_scanned_in_pieces_between_which_other_tasks_run(text):
    match = json_body._WITHIN.match(text)

    assert match is not None
    assert 0 < match.end() <= 1024 * 512


@pytest.mark.parametrize(
    "text", ["," * 50_000, '",' * 50_000, "\\," * 50_000, "[,{," * 20_000], ids=range(4)
)
def test_commas_in_strings_are_not_counted_as_values(text):
    assert loads(json.dumps({"prompt": text}).encode()) == {"prompt": text}


def test_exactly_the_allowed_number_of_values_is_accepted():
    assert len(loads(json.dumps([0] * MOST_VALUES).encode())) == MOST_VALUES


@pytest.mark.parametrize("quote", [b'"', b'\\"', b"\\"], ids=["quotes", "escaped", "backslashes"])
def test_each_byte_of_an_unterminated_string_is_read_once(quote):
    # Reading it again from every quote would take minutes.
    with pytest.raises((InvalidParameterError, RequestValidationError)):
        loads(b'["' + quote * 1_000_001 + b"," * (MOST_VALUES + 1))


@pytest.mark.parametrize("levels", [201, 500, 100_000])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"], ids=["plain", "with a mark"])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_values_nested_too_deeply_are_refused(levels, start, opening, closing):
    with pytest.raises(RequestValidationError):
        loads(start + opening * levels + b"1" + closing * levels)


def test_a_number_with_too_many_digits_is_refused():
    with pytest.raises(RequestValidationError) as raised:
        loads(b'{"a": ' + b"1" * 5_000 + b"}")

    assert "more digits" in raised.value.errors()[0]["ctx"]["error"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_every_unicode_encoding_is_read(encoding):
    assert loads('{"prompt": "Grüße"}'.encode(encoding)) == {"prompt": "Grüße"}
