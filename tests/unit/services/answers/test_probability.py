"""Probabilities of an answer's values, calculated by hand."""

import math
from typing import Any

import pytest

from app.domain.generation import Completion, StopReason
from app.domain.output import TokenChance, TokenLogprob
from app.domain.usage import Usage
from app.services.answers.probability import Chance, Measure, chances, chosen

Token = tuple[str, float] | tuple[str, float, dict[str, float]]


def answered(*tokens: Token, text: str | None = None) -> Completion:
    made = []
    for token in tokens:
        others = token[2] if len(token) == 3 else {}
        alternatives = tuple(TokenChance(t, math.log(p)) for t, p in others.items())
        made.append(TokenLogprob(token[0], math.log(token[1]), alternatives))
    said = "".join(token[0] for token in tokens) if text is None else text
    return Completion(said, Usage(), StopReason.STOP, "stop", logprobs=tuple(made))


def near(probability: float) -> Any:
    return pytest.approx(probability, abs=1e-9)


def test_the_tokens_of_a_string_are_those_between_its_quotes():
    said = answered(
        ('{"', 0.1), ("answer", 0.1), ('":"', 0.1), ("A", 0.5), (" cat", 0.8), ('"}', 0.1)
    )

    assert chances(said, (Measure("answer"),)) == {"answer": Chance("A cat", near(0.4))}


def test_a_token_containing_a_character_of_the_value_counts():
    said = answered(('{"answer": "4', 0.5), ('2"}', 0.5))

    assert chances(said, (Measure("answer"),))["answer"].probability == near(0.25)


def test_values_are_found_by_their_key_even_after_multi_byte_characters():
    said = answered(('{"ü": "ö", "n": ', 0.1), ("12", 0.7), (', "m": 3}', 0.1))

    assert chances(said, (Measure("n"), Measure("nothing"))) == {"n": Chance(12, near(0.7))}


def test_the_end_token_does_not_count():
    said = answered(('{"a":', 1), ("true", 0.5), ("}", 1), ("<|eot_id|>", 1), text='{"a":true}')

    assert chances(said, (Measure("a"),)) == {"a": Chance(True, near(0.5))}


@pytest.mark.parametrize(
    "said",
    [
        answered(("It is ", 1), ('{"a":1}', 1)),
        answered(('{"a":1}', 1), (" there", 1)),
        answered(('{"a":1,"a":2}', 1)),
        answered(('{"a":1', 1)),
        answered(('["a"]', 1)),
        answered(('{"a":2}', 1), text='{"a":1}'),
        answered(('{"a":""}', 1)),
        answered(text='{"a":1}'),
        answered(("", 1), text=""),
    ],
    ids=["prose", "after", "twice", "cut", "list", "other tokens", "empty", "none", "nothing"],
)
def test_no_probability_is_given_unless_the_answer_is_exactly_one_object(said):
    assert chances(said, (Measure("a"),)) == {}


def test_other_options_are_rated_only_if_one_token_leads_to_them_alone():
    said = answered(
        ("Corner", 0.8, {"Garden": 0.15, "Corner": 0.8, "Gard": 0.01, "C": 0.02}),
        (" Shop", 0.5, {" Shop": 0.5, " Store": 0.3, " S": 0.1}),
    )
    options = ("Corner Shop", "Garden Centre", "Corner Store", "Corner Stall", "Zoo")
    told = chosen(said, (Measure("answer", options),))["answer"]

    assert (told.value, told.probability) == ("Corner Shop", near(0.4))
    assert told.others == {
        "Garden Centre": near(0.16),
        "Corner Store": near(0.24),
    }


def test_the_probability_of_the_other_boolean_is_known_within_an_object():
    said = answered(('{"match":', 1), ("false", 0.6, {"false": 0.6, "true": 0.3}), ("}", 1))
    told = chances(said, (Measure("match", ("true", "false")),))["match"]

    assert (told.value, told.probability, told.others) == (False, near(0.6), {"true": near(0.3)})
