"""An answer is checked against its sources."""

from hypothesis import given
from hypothesis import strategies as st

from app.domain import citation as folding
from app.domain.citation import QuoteMatch
from app.domain.retrieval import Chunk, ChunkKind
from app.services.retrieval.checking import checked, stated
from app.services.retrieval.request import CitationFault, Shown, Source


def source(n: int, text: str, shown: Shown = Shown.TEXT) -> Source:
    return Source(n, Chunk(ChunkKind.TEXT, text, f"s3://b/{n}"), text, shown)


SOURCES = (
    source(1, "The orchard sells\ncider."),
    source(2, "Apples ripen."),
    source(3, "", Shown.PICTURE),
)


def test_a_sentence_identical_to_its_source_counts_as_a_quote():
    (quoted,) = checked("The orchard sells cider [1].", SOURCES).citations

    assert (quoted.quote, quoted.match) == (
        "The orchard sells cider", QuoteMatch.WHITESPACE,
    )  # fmt: skip


def test_a_quote_from_a_source_other_than_the_cited_one_is_forged():
    answer = checked('It says "apples ripen" [1].', SOURCES)

    assert [each.fault for each in answer.corrections] == [
        CitationFault.QUOTE_NOT_IN_SOURCE, CitationFault.UNSUPPORTED_SENTENCE,
    ]  # fmt: skip


def test_a_quote_from_a_picture_cannot_be_checked():
    answer = checked('The sign says "no entry" [3].', SOURCES)

    assert [each.fault for each in answer.corrections] == [CitationFault.QUOTE_NOT_CHECKABLE]
    assert answer.sentences[0].supported is True


def test_markers_within_structured_sentences_are_ignored():
    answer = stated([("It sells cider [7].", [1], None)], SOURCES, "raw")

    assert answer.text == "It sells cider. [1]"


def test_a_source_is_normalised_once_however_many_sentences_cite_it(monkeypatch):
    """Folding a source for each sentence made an answer of 20 kB take most of a minute."""
    folded: list[int] = []
    fold = folding._folded

    def counted(text: str) -> str:
        folded.append(len(text))
        return fold(text)

    monkeypatch.setattr(folding, "_folded", counted)
    sources = [source(n, f"The orchard sells cider. {n}") for n in range(1, 21)]
    answer = "".join(f"Word {n} here [1-20]. " for n in range(300))

    result = checked(answer, sources)

    assert len(result.sentences) == 300
    assert len(folded) == 300 + 20
    assert sum(folded) < len(answer) + 20 * 30


@given(st.text(alphabet=st.sampled_from('ab. "“”[]19\n'), max_size=120))
def test_in_any_answer_every_remaining_marker_has_a_citation(text):
    answer = checked(text, SOURCES)
    cited = {citation.source.n for citation in answer.citations}
    named = {n for each in answer.sentences for n in each.sentence.markers}

    assert named == cited
    assert cited <= {1, 2, 3}
    for citation in answer.citations:
        assert (citation.quote is None) is (citation.match is None)
