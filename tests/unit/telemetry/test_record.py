"""Work for a request that has a record of its own."""

from dataclasses import fields
from typing import Any

from app.telemetry import RequestRecord

NUMBERS = (int, float, int | None, float | None)
OWN = {"status", "duration_ms", "first_token_ms", "decoder_seconds", "started"}
"""Numbers that belong to each request's own answer, and its limit."""


def test_a_request_record_includes_numbers_of_work_done_elsewhere():
    numbers: dict[str, Any] = {
        field.name: count
        for count, field in enumerate(fields(RequestRecord), 1)
        if field.type in NUMBERS and field.name not in OWN
    }
    record = RequestRecord(**numbers)

    record.add(RequestRecord(**numbers))

    assert {name: getattr(record, name) for name in numbers} == {
        name: 2 * count for name, count in numbers.items()
    }
