"""Forty questions over a mixed folder of real documents: the right page is found, and cited.

PDFs, photos of signs, receipts, HTML, Markdown and text; tests/data/README.md has their licences.
"""

from pathlib import Path
from typing import Any

import pytest

from tests.support.fakes.knowledge_base import ask, documents_served

DOCUMENTS = Path(__file__).parents[1] / "data" / "documents"

# The question, the document, its page, and words of the answer.
QUESTIONS: tuple[tuple[str, str, int | None, str], ...] = (
    ("What are the population, area and capital of Finland?", "countries.pdf", 3, "Helsinki"),
    ("What are the population and area of Denmark?", "countries.pdf", 3, "42,951"),
    ("Which official languages has Belgium?", "countries.pdf", 3, "Dutch, French, German"),
    ("What is the capital of the Czech Republic?", "countries.pdf", 3, "Prague"),
    ("Is this a sample document with two columns?", "countries.pdf", 1, "Lorem Ipsum text"),
    ("When were the crazy ones written, October or May?", "crazy-ones.pdf", 1, "October"),
    ("What do they push forward, the human race?", "crazy-ones.pdf", 1, "human race forward"),
    ("Who gazes at a red planet?", "crazy-ones.pdf", 1, "red planet"),
    ("What of the round pegs in the square holes?", "crazy-ones.pdf", 1, "round pegs"),
    ("Is explicit better than implicit?", "principles.pdf", 1, "Explicit is better"),
    ("Is flat better than nested?", "principles.pdf", 1, "Flat is better"),
    ("Should errors pass silently?", "principles.pdf", 1, "never pass silently"),
    ("What beats practicality, or purity?", "principles.pdf", 1, "practicality beats purity"),
    ("What to do in the face of ambiguity?", "principles.pdf", 1, "refuse the temptation"),
    ("Are namespaces a great idea?", "principles.pdf", 1, "honking great idea"),
    ("Is the implementation hard to explain?", "principles.pdf", 1, "bad idea"),
    ("What is the grand total of the hotel?", "hotel-receipt.pdf", 1, "1939"),
    ("When is the check-out invoice of the hotel?", "hotel-receipt.pdf", 1, "check-out"),
    ("What is the name of the guest of the resort?", "hotel-receipt.pdf", 1, "Guest Name"),
    ("Which registered office is in Delhi?", "hotel-receipt.pdf", 1, "Delhi Rectangle"),
    ("What are the room charges for one night?", "hotel-receipt.pdf", 1, "Room Charges"),
    ("What does the office chair cost?", "invoice.pdf", 1, "70.00"),
    ("What does the olive oil cost?", "invoice.pdf", 1, "Olive Oil"),
    ("How many luxury truffles are there?", "invoice.pdf", 1, "150.00"),
    ("How many days are the payment terms?", "invoice.pdf", 1, "15 Days"),
    ("Which bank account is named by Acme?", "invoice.pdf", 1, "US1234567890"),
    ("Where is the Palais du Louvre?", "paris-signs.jpg", None, "LOUVRE"),
    ("Where is the Palais Royal théâtre?", "paris-signs.jpg", None, "PALAIS-ROYAL"),
    ("Where are the arts décoratifs?", "paris-signs.jpg", None, "ARTS"),
    ("Which market is on the sign, Basrurkar?", "road-signs.png", None, "BASRURKAR"),
    ("Which Rückgeld in BAR did Rewe give?", "supermarket-receipt.jpg", None, "1,01"),
    ("Which Summe in EUR did Rewe take?", "supermarket-receipt.jpg", None, "0,99"),
    ("Which Bon Nr has the Rewe receipt?", "supermarket-receipt.jpg", None, "1433"),
    ("How long are films lent?", "library.html", None, "one week"),
    ("What does a reader's card cost a year?", "library.html", None, "12 euros"),
    ("Until when is the reading room open?", "library.html", None, "22:00"),
    ("When is sourdough bread baked?", "bakery.md", None, "Tuesday and Friday"),
    ("Until when are orders for wedding cakes taken?", "bakery.md", None, "three weeks"),
    ("When was the steam tug Claus built?", "museum.txt", None, "1908"),
    ("When do guided tours begin?", "museum.txt", None, "11:00"),
)


@pytest.fixture(scope="module")
def documents():
    with documents_served(DOCUMENTS) as (client, _):
        yield client


def folded(text: str) -> str:
    return " ".join(text.split()).casefold()


def test_there_are_forty_questions_over_every_document():
    assert len(QUESTIONS) == 40
    beside = (".metadata.json", ".words.txt")
    files = {path.name for path in DOCUMENTS.iterdir() if not path.name.endswith(beside)}
    assert {document for _, document, _, _ in QUESTIONS} == files


@pytest.mark.parametrize(
    ("question", "document", "page", "words"), QUESTIONS, ids=[each[0] for each in QUESTIONS]
)
def test_the_right_page_is_found_and_cited(
    documents: Any, question: str, document: str, page: int | None, words: str
) -> None:
    result = ask(documents, question)

    assert result["answered"] is True
    assert result["corrections"] == []
    (citation,) = result["citations"]
    assert (citation["document"], citation["page"]) == (document, page)
    assert folded(words) in folded(result["answer"])
    assert f"[{citation['n']}]" in result["answer"]
    if citation["kind"] == "image":
        assert citation["picture"].startswith("data:image/jpeg;base64,")
    else:
        assert citation["match"] in ("exact", "whitespace")


@pytest.mark.parametrize(
    "question", ["Who won the chess final?", "What does a capital ship of the navy weigh?"]
)
def test_a_question_that_no_document_answers_says_so(documents: Any, question: str) -> None:
    result = ask(documents, question)

    assert (result["answered"], result["answer"], result["citations"]) == (False, None, [])
    assert result["reason"] in ("nothing_retrieved", "not_in_sources")


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"equals": {"key": "kind", "value": "receipt"}}, {"hotel-receipt.pdf"}),
        ({"in": {"key": "kind", "value": ["invoice", "sign"]}}, {"invoice.pdf"}),
        ({"greaterThan": {"key": "year", "value": 2020}}, {"invoice.pdf"}),
        ({"startsWith": {"key": "kind", "value": "x"}}, set()),
    ],
)
def test_a_filter_hides_the_documents_it_excludes(
    documents: Any, wanted: Any, expected: set[str]
) -> None:
    found = ask(documents, "bank account payment", mode="retrieve", filter=wanted, max_results=50)

    assert {used["document"] for used in found["used"]} == expected
