"""Lines of an input file, however it is split into pieces."""

import codecs
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.domain.file import FilePurpose, StoredFile
from app.services.batches.intake import Intake, IntakeLimits

STORED = StoredFile("file-1", "ann", "rows.jsonl", FilePurpose.BATCH, 0, "application/jsonl", 0, 0)


class Pieces:
    def __init__(self, content: bytes, size: int) -> None:
        self.content, self.size = content, size

    async def read(self, stored: StoredFile) -> AsyncIterator[bytes]:
        for start in range(0, len(self.content), self.size):
            yield self.content[start : start + self.size]


def line(n: int) -> bytes:
    body = {"custom_id": f"ü{n}", "method": "POST", "url": "/v1/generate", "body": {"prompt": "x"}}
    return json.dumps(body, ensure_ascii=False).encode()


async def alive() -> None:
    pass


def intake(content: bytes, size: int, line_bytes: int = 10_000) -> Intake:
    files: Any = Pieces(content, size)
    limits = IntakeLimits(100, line_bytes)
    return Intake(files, STORED, "/v1/generate", lambda *_: [], limits, alive)


@pytest.mark.parametrize("size", [1, 7, 64, 100_000])
@pytest.mark.parametrize("end", [b"", b"\n", b"\n\n"])
async def test_each_offset_points_to_its_lines_bytes(size, end):
    content = line(0) + b"\n\n" + line(1) + b"\n" + line(2) + end

    checked = intake(content, size)
    await checked.read()

    assert checked.faults == []
    assert [content[p.start : p.end] for p in checked.places] == [line(n) for n in range(3)]
    assert [p.custom_id for p in checked.places] == ["ü0", "ü1", "ü2"]


@pytest.mark.parametrize("size", [1, 64, 100_000])
async def test_a_line_that_is_too_long_is_reported_and_the_next_ones_are_read(size):
    content = line(0) + b"\n" + b"x" * 500 + b"\n" + line(1) + b"\n{"

    checked = intake(content, size, line_bytes=200)
    await checked.read()

    assert [(f.code, f.line) for f in checked.faults] == [
        ("line_too_long", 2),
        ("invalid_json_line", 4),
    ]
    assert [content[p.start : p.end] for p in checked.places] == [line(0), line(1)]


async def test_a_byte_order_mark_is_skipped():
    content = codecs.BOM_UTF8 + line(0) + b"\r\n" + line(1)
    reading = intake(content, 100_000)

    await reading.read()

    assert [content[place.start : place.end].strip() for place in reading.places] == [
        line(0),
        line(1),
    ]


async def test_invalid_json_in_a_line_is_reported_with_its_column():
    reading = intake(line(0) + b"\n" + b'{"custom_id": x}\n', 100_000)

    await reading.read()

    assert [fault.message for fault in reading.faults] == [
        "line 2: is not JSON: expected value at column 15"
    ]
