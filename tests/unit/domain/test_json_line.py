"""JSON that stays one line when split by Unicode's rules."""

import json

import pytest

from app.domain.json_line import on_one_line

LINE_ENDS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"


@pytest.mark.parametrize("character", LINE_ENDS)
def test_a_text_with_line_breaks_becomes_one_line_with_the_same_value(character):
    text = f"ä{character}é"

    line = on_one_line(json.dumps(text, ensure_ascii=False).encode()).decode()

    assert len(line.splitlines()) == 1
    assert json.loads(line) == text
