"""Adapts a foreign client's conversation to the model."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby

from app.domain.errors import InvalidParameterError, PromptMissingError
from app.domain.generation import ImageInput, Role, Turn
from app.domain.image import AnswerWarning

Turns = tuple[Turn[ImageInput], ...]

OMITTED = "[an earlier image]"
"""The text of a turn without words whose picture is not shown again."""


def alternating(turns: Iterable[Turn[ImageInput]], field: str = "messages") -> Turns:
    """Join neighbouring turns of one speaker. Raises a RequestError that names ``field``.

    The model's template has the user speak first and last, and there has to be a question.
    """
    joined = tuple(_joined(list(group)) for _, group in groupby(turns, key=lambda turn: turn.role))
    if not joined or joined[0].role is not Role.USER or joined[-1].role is not Role.USER:
        raise InvalidParameterError.at(field, "the first and the last turn have to be the user's")
    if not joined[-1].text.strip() and not joined[-1].images:
        raise PromptMissingError.at(field, "the last turn has neither text nor an image")
    return joined


def _joined(turns: Sequence[Turn[ImageInput]]) -> Turn[ImageInput]:
    return Turn(
        turns[0].role,
        "\n\n".join(turn.text for turn in turns if turn.text),
        tuple(image for turn in turns for image in turn.images),
    )


def with_newest_images(turns: Turns, most: int) -> tuple[Turns, tuple[AnswerWarning, ...]]:
    """Leave out pictures of earlier turns beyond ``most``, with a warning.

    A client sends the whole conversation each time. The newest turn with pictures keeps all of its
    own, which the request's image strategy handles; earlier turns keep theirs as far as they fit,
    newest first.
    """
    room, kept, left_out = most, list(turns), 0
    newest = True
    for position in reversed(range(len(turns))):
        images = len(turns[position].images)
        if not images:
            continue
        if newest or (images <= room and not left_out):
            room -= images
            newest = False
            continue
        left_out += images
        kept[position] = _without_images(turns[position])
    if not left_out:
        return turns, ()
    number = "one image" if most == 1 else f"{most} images"
    message = (
        f"the model sees {number} in a request: {left_out} of earlier turns were left out, and "
        "only the newest shown"
    )
    return tuple(kept), (AnswerWarning("earlier_images_left_out", message),)


def _without_images(turn: Turn[ImageInput]) -> Turn[ImageInput]:
    return replace(turn, text=turn.text or (OMITTED if turn.images else ""), images=())
