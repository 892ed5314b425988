"""The task classify: labels of a closed list, and their probabilities."""

import json
from typing import Any

import pytest

from app.domain.generation import StopReason
from app.domain.model import Capabilities
from app.services.answers.probability import Chance
from app.services.answers.reading import read
from app.services.answers.text.notes import AnswerError
from app.services.tasks.classify import ClassifyParameters, conclude, questions
from app.services.tasks.spec import Finding, TaskParameterError, UnansweredError

LABELS = ["receipt", "invoice", "photo"]
PLAIN = Capabilities()
TELLING = Capabilities(logprobs=True)


def asked(able: Capabilities = PLAIN, **more: Any) -> Any:
    (question,) = questions(ClassifyParameters(**{"labels": LABELS, **more}), 1, able)
    return question


def result(text: str, chances: dict[str, Chance] | None = None, **more: Any) -> Any:
    parameters = ClassifyParameters(**{"labels": LABELS, **more})
    (question,) = questions(parameters, 1, PLAIN)
    answer = read(text, question.form).answer
    return conclude(parameters, [Finding(answer, chances=chances or {})])


def test_the_labels_and_other_are_a_closed_list():
    enum = asked().form.schema["properties"]["label"]["enum"]

    assert enum == [*LABELS, "other"]
    assert asked(other=False).form.schema["properties"]["label"]["enum"] == LABELS


def test_the_chosen_label_comes_first_without_probabilities():
    found = result('{"label": "Invoice"}')

    assert (found.labels, found.other) == (["invoice"], False)
    assert [(one.label, one.probability) for one in found.ranking] == [
        ("invoice", None),
        ("receipt", None),
        ("photo", None),
    ]


def test_other_means_that_no_label_fits():
    found = result('{"label": "other"}')

    assert (found.labels, found.other) == ([], True)
    assert [one.label for one in found.ranking] == LABELS


def test_probabilities_are_measured_only_where_the_model_reports_them():
    assert asked().measures == ()
    assert [m.key for m in asked(TELLING).measures] == ["label"]
    assert [m.key for m in asked(TELLING, multiple=True).measures] == LABELS


def test_the_probabilities_of_one_choice_rank_all_labels():
    chance = Chance("invoice", 0.7, {"photo": 0.2})

    found = result('{"label": "invoice"}', {"label": chance})

    assert [(one.label, one.probability) for one in found.ranking] == [
        ("invoice", 0.7),
        ("photo", 0.2),
        ("receipt", None),
    ]


@pytest.mark.parametrize(
    ("said", "chance", "told"),
    [
        ("other", Chance("other", 0.6, {"photo": 0.2}), 0.6),
        ("invoice", Chance("invoice", 0.7, {"other": 0.1}), 0.1),
        ("invoice", Chance("invoice", 0.7), None),
    ],
)
def test_the_probability_that_no_label_fits_is_reported(said, chance, told):
    assert result(f'{{"label": "{said}"}}', {"label": chance}).other_probability == told


def test_a_label_named_other_is_one_of_the_labels():
    found = result(
        '{"label": "other"}',
        {"label": Chance("other", 0.6)},
        labels=["other", "photo"],
        other=False,
    )

    assert (found.labels, found.other, found.other_probability) == (["other"], False, None)


def test_the_prompt_says_when_at_least_one_label_must_fit():
    assert "At least one does" in asked(multiple=True, other=False).text
    assert "At least one" not in asked(multiple=True).text


def test_a_probability_measured_for_another_spelling_is_not_reported():
    found = result('{"label": "Invoice"}', {"label": Chance("Invoice", 0.9)})

    assert all(one.probability is None for one in found.ranking)


def test_several_labels_are_judged_independently():
    chances = {"photo": Chance(True, 0.9, {"false": 0.1}), "invoice": Chance(False, 0.8)}

    found = result('{"receipt": true, "invoice": false, "photo": true}', chances, multiple=True)

    assert (found.labels, found.other) == (["photo", "receipt"], False)
    assert [(one.label, one.probability) for one in found.ranking] == [
        ("photo", 0.9),
        ("receipt", None),
        ("invoice", 0.2),
    ]


def test_no_fitting_label_is_other_or_a_failure_without_other():
    none = '{"receipt": false, "invoice": false, "photo": false}'

    assert result(none, multiple=True).other
    with pytest.raises(UnansweredError):
        result(none, multiple=True, other=False)


@pytest.mark.parametrize("label", ["C", "C++", "C#", "👍", "👎", "+", "-"])
@pytest.mark.parametrize("multiple", [True, False])
def test_labels_can_differ_only_in_signs(label, multiple):
    labels = ["C", "C++", "C#", "👍", "👎", "+", "-"]
    said = {one.lower(): one == label for one in labels} if multiple else {"label": label.lower()}

    assert result(json.dumps(said), labels=labels, multiple=multiple).labels == [label]


@pytest.mark.parametrize("text", ["cat food", '"Cat food"', "**cat food**", "Cat food."])
def test_a_bare_label_is_an_answer(text):
    assert result(text, labels=["cat", "cat food"]).labels == ["cat food"]


@pytest.mark.parametrize("text", ["cats", "a cat food", "cat, dog"])
def test_any_other_bare_word_is_not_an_answer(text):
    with pytest.raises(AnswerError):
        result(text, labels=["cat", "cat food", "dog"])


def test_a_possibly_truncated_label_is_not_an_answer():
    with pytest.raises(AnswerError):
        read("cat", asked(labels=["cat", "cat food"]).form, StopReason.LENGTH)


@pytest.mark.parametrize(
    "parameters",
    [
        {"labels": ["a", "A"]},
        {"labels": ["other", "a"]},
        {"labels": ["a"], "other": False},
        {"labels": ["a b", "A  b"]},
        {"labels": ["caf\u00e9", "cafe\u0301"]},
    ],
)
def test_indistinguishable_labels_are_refused(parameters):
    with pytest.raises(TaskParameterError):
        asked(**parameters)
