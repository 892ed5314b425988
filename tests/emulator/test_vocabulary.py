"""Tokens, counted with the real vocabulary or estimated without it."""

import sys
from importlib.util import find_spec

import pytest

from app.emulator.model import vocabulary
from app.emulator.model.model import cut
from app.emulator.model.vocabulary import EstimatedVocabulary, Llama3Vocabulary, Vocabulary
from app.emulator.wire.bodies.conversation import Sampling
from tests.support.emulator.bodies import template

TEXTS = ["Hello, world!", "", "  spaces\n\n and tabs\t", "naïve café 🙂", "สวัสดี नमस्ते", "a_b 12345"]


@pytest.fixture(scope="module")
def real() -> Vocabulary:
    return vocabulary.load()


def test_the_real_vocabulary_is_used_if_installed(real: Vocabulary) -> None:
    assert isinstance(real, Llama3Vocabulary)
    assert "llama_models" not in sys.modules


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Hello, world!", 4),
        (template("Describe this image in two sentences", images=1), 17),
        ("<|begin_of_text|><|image|><|eot_id|>", 3),
        ("", 0),
    ],
)
def test_token_counts_are_those_of_the_model(real: Vocabulary, text: str, count: int) -> None:
    assert real.count(text) == count


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("kind", ["real", "estimate"])
def test_the_tokens_of_a_text_join_to_the_text(real: Vocabulary, text: str, kind: str) -> None:
    words = real if kind == "real" else EstimatedVocabulary()
    assert "".join(words.pieces(text)) == text
    assert len(words.pieces(text)) == words.count(text)


def test_a_very_long_word_is_counted(real: Vocabulary) -> None:
    assert real.count("a" * 500_000) > 1000


def test_the_estimate_is_close_to_the_real_count(real: Vocabulary) -> None:
    text = template("Describe this picture in two sentences, and name its three main colours.")
    estimated = EstimatedVocabulary().count(text)
    assert 0.6 < estimated / real.count(text) < 1.7


@pytest.mark.parametrize("missing", ["llama_models", "tiktoken"])
def test_without_the_package_the_count_is_an_estimate(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setattr(
        vocabulary, "find_spec", lambda name: None if name == missing else find_spec(name)
    )
    assert isinstance(vocabulary.load(), EstimatedVocabulary)


@pytest.mark.parametrize(
    ("limit", "stops", "kept", "reason"),
    [
        (9, (), "one two three", "stop"),
        (3, (), "one two three", "stop"),
        (2, (), "one two", "length"),
        (9, (" t",), "one", "stop_sequence"),
        (9, ("wo", "three"), "one t", "stop_sequence"),
        (1, ("three",), "one", "length"),
        (9, ("four",), "one two three", "stop"),
    ],
)
def test_a_generation_is_truncated_at_its_first_limit(
    limit: int, stops: tuple[str, ...], kept: str, reason: str
) -> None:
    sampling = Sampling(max_gen_len=limit, stop_sequences=stops)
    pieces, why = cut(["one", " two", " three"], sampling)
    assert ("".join(pieces), why) == (kept, reason)
