"""Texts are cut to a number of tokens: best first, whole sentences."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from app.domain.generation import ModelRequest
from app.domain.token import CountMethod, TokenCount
from app.services.retrieval.context import ContextCutter


@dataclass
class WordCounter:
    """A token is a word."""

    counted: list[int] = field(default_factory=list)

    async def count(self, request: ModelRequest) -> TokenCount:
        words = len(request.turns[0].text.split())
        self.counted.append(words)
        return TokenCount(words, CountMethod.EXACT)


SENTENCE = st.lists(st.sampled_from(["one", "two", "three"]), min_size=1, max_size=6).map(
    lambda words: " ".join(words) + "."
)
TEXT = st.lists(SENTENCE, min_size=1, max_size=8).map(" ".join)


@given(st.lists(TEXT, max_size=6), st.integers(0, 60), st.integers(0, 5))
async def test_the_longest_prefix_of_whole_sentences_that_fits_is_kept(texts, room, around):
    fitted = await ContextCutter(WordCounter()).fitted(texts, room, around)
    kept = [each for each in fitted if each.text]

    assert sum(each.tokens + around for each in kept) <= max(room, 0)
    assert sum(each.cut for each in fitted) <= 1
    for text, each in zip(texts, fitted, strict=True):
        assert text.startswith(each.text)
        assert each.cut is (each.text not in ("", text))
        assert not each.text or each.text.endswith(".")


async def test_a_long_text_is_cut_with_few_token_counts():
    counter = WordCounter()
    long = "A sentence of five words. " * 4_000
    (fitted,) = await ContextCutter(counter).fitted([long], 1_000, 0)

    assert 990 <= fitted.tokens <= 1_000
    assert len(counter.counted) < 20
