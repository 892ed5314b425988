"""Additions to a caller's prompt, and warnings about it."""

from collections.abc import Iterator
from dataclasses import replace

from app.domain.generation import GenerationRequest, Turn
from app.domain.image import AnswerWarning, PreparedImage
from app.domain.model import Language, ModelIdentity

DEFAULT_PROMPT = "Describe this image."

Turns = tuple[Turn[PreparedImage], ...]


def with_prompt(turns: Turns) -> Turns:
    """Add the default prompt if the last turn has an image but no text."""
    last = turns[-1]
    if last.text.strip():
        return turns
    return (*turns[:-1], replace(last, text=DEFAULT_PROMPT))


def in_language(turns: Turns, language: Language) -> Turns:
    """Ask for the answer in ``language``, in the last turn.

    A system turn is not used because Meta's template has none beside an image.
    """
    last = turns[-1]
    return (*turns[:-1], replace(last, text=f"{last.text}\n\nAnswer in {language.label}."))


def warnings(request: GenerationRequest, identity: ModelIdentity) -> Iterator[AnswerWarning]:
    """Yield warnings that do not prevent an answer."""
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
        text = f"no prompt was given; the model was asked: {DEFAULT_PROMPT}"
        yield AnswerWarning("default_prompt", text)
