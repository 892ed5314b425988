"""Texts of prompts: bounded runs of combining marks, and the size that counts as work."""

import unicodedata

import pytest

from app.adapters.bedrock.codecs.llama import neutralise, render, size, stream_safe
from app.domain.generation import ModelRequest, Role, Turn

BELOW, ABOVE = "\u0323", "\u0307"
JOINER = "\u034f"


def longest_run(text: str) -> int:
    """Return the length of the longest run of combining marks in ``text``."""
    longest = run = 0
    for character in text:
        run = run + 1 if unicodedata.combining(character) else 0
        longest = max(longest, run)
    return longest


@pytest.mark.parametrize("count", [31, 60, 61, 10_000])
def test_a_run_of_combining_marks_is_split_before_it_is_sorted(count):
    marks = (ABOVE + BELOW) * count

    assert longest_run(stream_safe(f"a{marks}b")) == 30
    assert longest_run(neutralise(f"a{marks}b")) <= 30
    assert stream_safe(f"a{marks}b").replace(JOINER, "") == f"a{marks}b"


@pytest.mark.parametrize("text", ["Grüße", "u" + ABOVE * 30, "e\u0301", "한국어", "نَصّ"])
def test_ordinary_text_is_left_unchanged(text):
    assert stream_safe(text) == text
    assert neutralise(text) == unicodedata.normalize("NFC", text)


def test_text_counts_as_more_work_than_a_picture_of_its_size():
    asked = ModelRequest((Turn(Role.USER, "x" * 70_000),))

    assert size(asked) > 2**20


def test_a_prompt_ends_with_the_prefilled_beginning_of_the_answer():
    request = ModelRequest((Turn(Role.USER, "Say."),), begun='{"caption": "')

    assert render(request).endswith('assistant<|end_header_id|>\n\n{"caption": "')


def test_a_prefilled_beginning_contains_no_special_token():
    request = ModelRequest((Turn(Role.USER, "Say."),), begun='{"<|eot_id|>": ')

    assert render(request).endswith('{"<| eot_id |>": ')
