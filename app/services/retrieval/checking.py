"""Checks an answer against its sources: markers, quotes and sentences. Pure.

Each source is made ready for comparison once, which takes longer than looking for a quote in it.
It is work for a thread: an answer may name all sources in each of a thousand sentences.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from app.domain.citation import MarkedText, Sentence, Wording, denies, marked, match, sentences
from app.services.retrieval.request import (
    CheckedAnswer,
    CheckedSentence,
    Citation,
    CitationFault,
    Correction,
    Shown,
    Source,
    Unanswered,
)

_UNREAD = (Shown.PICTURE, Shown.CONTACT_SHEET)
Quotes = Mapping[int, str]
"""The quote of each sentence by its position, if the model gave one."""
Ready = Mapping[int, Wording]
"""The sources' texts by number, ready for comparison."""


def checked(text: str, sources: Sequence[Source]) -> CheckedAnswer:
    """Return the checked sentences of an answer with markers, as the model wrote it."""
    by_number = {source.n: source for source in sources}
    kept = marked(text, by_number.keys())
    marked_sentences = sentences(kept.text)
    if not any(sentence.markers for sentence in marked_sentences) and denies(kept.text):
        unknown = tuple(_unknown(kept))
        return CheckedAnswer("", Unanswered.NOT_IN_SOURCES, corrections=unknown, raw=text)
    return _held(kept, marked_sentences, by_number, {}, text)


def stated(
    statements: Sequence[tuple[str, Sequence[int], str | None]],
    sources: Sequence[Source],
    raw: str,
) -> CheckedAnswer:
    """Return an answer of sentences, each with its sources and a quote, as one text.

    Sentences keep their own markers out of the text: the numbers beside them count.
    """
    by_number = {source.n: source for source in sources}
    removed: list[int] = []
    rewritten: list[Sentence] = []
    quotes: dict[int, str] = {}
    for words, numbers, quote in statements:
        bare = marked(words, frozenset()).text.strip()
        if not bare:
            continue
        removed += [number for number in numbers if number not in by_number]
        known = tuple(dict.fromkeys(number for number in numbers if number in by_number))
        if quote is not None and quote.strip():
            quotes[len(rewritten)] = quote.strip()
        rewritten.append(Sentence(bare, known))
    text = " ".join(f"{each.text}{_behind(each.markers)}" for each in rewritten)
    return _held(MarkedText(text, tuple(removed)), tuple(rewritten), by_number, quotes, raw)


def _behind(markers: Iterable[int]) -> str:
    written = "".join(f"[{number}]" for number in markers)
    return f" {written}" if written else ""


def _held(
    kept: MarkedText,
    judged: Sequence[Sentence],
    by_number: Mapping[int, Source],
    beside: Quotes,
    raw: str,
) -> CheckedAnswer:
    corrections = list(_unknown(kept))
    citations: dict[int, Citation] = {}
    supported: list[CheckedSentence] = []
    ready = {number: Wording(source.text) for number, source in by_number.items()}
    for place, sentence in enumerate(judged):
        named = [by_number[number] for number in sentence.markers]
        quotes = (*sentence.quotes, beside[place]) if place in beside else sentence.quotes
        forged = False
        for quote in dict.fromkeys(quotes):
            citation, fault = _quoted(quote, named, ready)
            if citation is not None:
                _keep(citations, citation)
            if fault is not None:
                corrections.append(fault)
                forged = forged or fault.fault is CitationFault.QUOTE_NOT_IN_SOURCE
        words = _words(sentence)
        for source in named:
            _keep(citations, _worded(words, source, ready))
        backed = bool(named) and not forged
        supported.append(CheckedSentence(sentence, backed))
        if not backed:
            corrections.append(Correction(CitationFault.UNSUPPORTED_SENTENCE, sentence.text))
    return CheckedAnswer(
        text=kept.text.strip(),
        unanswered=None if judged else Unanswered.NOT_IN_SOURCES,
        citations=tuple(citations.values()),
        sentences=tuple(supported),
        corrections=tuple(corrections),
        raw=raw,
    )


def _unknown(kept: MarkedText) -> Iterator[Correction]:
    for number in kept.removed:
        yield Correction(CitationFault.UNKNOWN_MARKER, f"[{number}]", number)


def _quoted(
    quote: str, named: Sequence[Source], ready: Ready
) -> tuple[Citation | None, Correction | None]:
    """Return the citation that ``quote`` proves, or the quote's fault."""
    wording = Wording(quote)
    for source in named:
        if (agreement := match(wording, ready[source.n])) is not None:
            return Citation(source, quote, agreement), None
    unread = next((source for source in named if source.shown in _UNREAD), None)
    if unread is not None:
        return None, Correction(CitationFault.QUOTE_NOT_CHECKABLE, quote, unread.n)
    number = named[0].n if named else None
    return None, Correction(CitationFault.QUOTE_NOT_IN_SOURCE, quote, number)


def _words(sentence: Sentence) -> Wording | None:
    """Return the sentence as it may occur in a source; None for a single word."""
    words = sentence.text.strip().strip("\"'“”").rstrip(".!? ")
    return Wording(words) if len(words.split()) > 1 else None


def _worded(words: Wording | None, source: Source, ready: Ready) -> Citation:
    """Return the citation of a source that a sentence names, with a quote if it has the words."""
    if words is not None and (agreement := match(words, ready[source.n])) is not None:
        return Citation(source, words.text, agreement)
    return Citation(source)


def _keep(citations: dict[int, Citation], citation: Citation) -> None:
    """Keep the first citation of each source, preferring one with a quote."""
    known = citations.get(citation.source.n)
    if known is None or (known.quote is None and citation.quote is not None):
        citations[citation.source.n] = citation
