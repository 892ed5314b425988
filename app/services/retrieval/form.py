"""The form of an answer, if the model supports forms: sentences with their sources."""

import re
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from app.services.answers.form import ModelAnswer, ModelPart
from app.services.answers.lenient import Listed, Nullable, Text, Truth, trimmed

MAX_SENTENCES = 40
_NUMBER = re.compile(r"\d{1,3}")


def _numbers(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Accept ``"[1][2]"``, ``"source_1"`` and single numbers as lists of numbers."""
    if isinstance(value, list):
        return [number for entry in value for number in _numbers(entry)]
    if isinstance(value, str):
        return [int(number) for number in _NUMBER.findall(value)]
    if isinstance(value, dict):
        return [number for entry in value.values() for number in _numbers(entry)]
    return [] if value is None or isinstance(value, bool) else [value]


class SourcedSentence(ModelPart):
    """One sentence of the answer."""

    aliases: ClassVar[dict[str, str]] = {
        "source": "sources", "citations": "sources", "sentence": "text", "quotes": "quote",
    }  # fmt: skip

    text: Annotated[Text, Field(min_length=1, description="the sentence, without markers")]
    sources: Annotated[
        list[int],
        Field(max_length=20, description="numbers of the sources that say it"),
        BeforeValidator(_numbers),
    ]
    quote: Annotated[
        Nullable[Text],
        Field(description="words copied from one of these sources, or null for a picture"),
    ] = None


class SourcedAnswer(ModelAnswer):
    """The form that the model fills."""

    spared: ClassVar[frozenset[str]] = frozenset()
    answered: Annotated[Truth, Field(description="whether the sources answer the question")]
    sentences: Annotated[
        Listed[SourcedSentence],
        Field(max_length=MAX_SENTENCES),
        trimmed(MAX_SENTENCES, "sentences"),
    ] = []  # noqa: RUF012 - Pydantic copies it
