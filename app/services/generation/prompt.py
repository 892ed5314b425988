"""Additions to a caller's prompt, and warnings about it."""

from collections.abc import Iterator
from dataclasses import replace

from app.domain.generation import GenerationRequest, Turn
from app.domain.image import AnswerWarning, PreparedImage
from app.domain.model import Language, ModelIdentity

DEFAULT_PROMPT = "Describe this image."

Turns = tuple[Turn[PreparedImage], ...]


def with_prompt(turns: Turns) -> Turns:
    """Ask for a description where the last turn is a picture without words."""
    last = turns[-1]
    if last.text.strip():
        return turns
    return (*turns[:-1], replace(last, text=DEFAULT_PROMPT))


def in_language(turns: Turns, language: Language) -> Turns:
    """Ask for the answer in ``language``, in the last turn.

    Not in a system turn: Meta's own template has none beside a picture.
    """
    last = turns[-1]
    return (*turns[:-1], replace(last, text=f"{last.text}\n\nAnswer in {language.label}."))


def warnings(request: GenerationRequest, identity: ModelIdentity) -> Iterator[AnswerWarning]:
    """Yield warnings for a request that is answered all the same."""
    language = request.language
    if (
        language is not None
        and language not in identity.base.image_languages
        and any(turn.images for turn in request.turns)
    ):
        supported = ", ".join(known.label for known in identity.base.image_languages)
        yield AnswerWarning(
            "language_unsupported_with_images",
            f"Meta supports only {supported} where an image is involved; the answer in "
            f"{language.label} may be worse",
        )
    if not request.turns[-1].text.strip():
        yield AnswerWarning("default_prompt", f"no prompt was given; asked was: {DEFAULT_PROMPT}")
