"""docs/rag.md matches the code."""

from pathlib import Path

import pytest

from app.domain.metadata_filter import Join, Operator
from app.services.retrieval.request import CitationFault, Unanswered
from app.services.retrieval.stack import RULES
from app.settings.retrieval import KnowledgeBaseSetting

PAGE = (Path(__file__).parents[2] / "docs" / "rag.md").read_text()


@pytest.mark.parametrize(
    "name",
    [*Operator, *Join, *CitationFault, *Unanswered, *KnowledgeBaseSetting.model_fields],
)
def test_the_docs_explain_each_field_of_a_request_an_answer_and_a_setting(name):
    assert f"`{name}`" in PAGE


def test_errors_that_are_retried_are_documented_as_such():
    rows = {
        line.split("|")[2].split("`")[1]: line
        for line in PAGE.splitlines()
        if "Exception" in line and line.startswith("|")
    }
    for error, rule in RULES.items():
        if error.code in rows:
            times = {1: "once", 3: "3 times"}[int(rule.attempts) - 1]
            assert rows[error.code].endswith(f"| {times} |"), error.code
