"""Conversations of other APIs' clients are normalised."""

import pytest

from app.domain.conversation import OMITTED, Turns, alternating, with_newest_images
from app.domain.errors import InvalidParameterError
from app.domain.generation import ImageInput, Role, Turn
from app.domain.image import Base64Image


def user(text: str, *images: str) -> Turn[ImageInput]:
    return Turn(Role.USER, text, tuple(Base64Image(image) for image in images))


def assistant(text: str) -> Turn[ImageInput]:
    return Turn(Role.ASSISTANT, text)


def shown(turns: Turns) -> list[list[str]]:
    return [[i.text for i in turn.images if isinstance(i, Base64Image)] for turn in turns]


def test_consecutive_turns_of_one_role_are_merged_with_all_their_pictures():
    turns = alternating([user("a", "1"), user("", "2"), user("b"), assistant("c"), user("d")])

    assert [turn.text for turn in turns] == ["a\n\nb", "c", "d"]
    assert shown(turns) == [["1", "2"], [], []]


@pytest.mark.parametrize(
    "turns", [[], [assistant("a")], [user("a"), assistant("b")], [assistant("a"), user("b")]]
)
def test_a_conversation_that_does_not_begin_and_end_with_the_user_is_refused(turns):
    with pytest.raises(InvalidParameterError):
        alternating(turns)


def test_the_newest_turn_with_pictures_keeps_them_and_earlier_ones_keep_only_text():
    turns, warnings = with_newest_images(
        (user("", "1"), assistant("x"), user("b", "2", "3"), assistant("y"), user("c")), 1
    )

    assert shown(turns) == [[], [], ["2", "3"], [], []]
    assert [turn.text for turn in turns] == [OMITTED, "x", "b", "y", "c"]
    assert [warning.code for warning in warnings] == ["earlier_images_left_out"]


def test_pictures_in_a_single_turn_are_left_unchanged():
    turns = (user("a", "1", "2"), assistant("x"), user("b"))

    assert with_newest_images(turns, 1) == (turns, ())


@pytest.mark.parametrize(
    ("most", "kept"),
    [
        (1, [[], [], [], [], ["3"]]),
        (2, [[], [], ["2"], [], ["3"]]),
        (3, [["1"], [], ["2"], [], ["3"]]),
    ],
)
def test_earlier_turns_keep_as_many_pictures_as_the_model_accepts(most, kept):
    turns, warnings = with_newest_images(
        (user("a", "1"), assistant("x"), user("b", "2"), assistant("y"), user("c", "3")), most
    )

    assert shown(turns) == kept
    assert bool(warnings) == (most < 3)


def test_no_picture_earlier_than_an_omitted_one_is_sent():
    turns, _ = with_newest_images(
        (user("a", "1"), assistant("x"), user("b", "2", "3"), assistant("y"), user("c", "4")), 2
    )

    assert shown(turns) == [[], [], [], [], ["4"]]
