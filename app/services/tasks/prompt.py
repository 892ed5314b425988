"""Prompt texts: files beside the code, each with its version in the first line."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from string import Template

import orjson

from app.services.answers.form import AnswerError
from app.services.answers.schema import Schema

SYSTEM = "system"
REPAIR = "repair"
_SHOWN = 600


@dataclass(frozen=True, slots=True)
class Prompt:
    """One text with places to fill."""

    name: str
    version: int
    text: str

    def filled(self, **values: str) -> str:
        """Return the text with ``$places`` filled. What is filled in is not filled again."""
        return Template(self.text).substitute(values)


@cache
def prompt(name: str) -> Prompt:
    """Return the prompt in ``prompts/<name>.txt``."""
    first, _, text = (
        files(__package__).joinpath("prompts", f"{name}.txt").read_text().partition("\n")
    )
    return Prompt(name, int(first.removeprefix("version ")), text.strip())


def with_schema(text: str, schema: Schema) -> str:
    """Return ``text`` followed by the form that the answer has to have."""
    return (
        f"{text}\n\nAnswer with one JSON object and nothing else, valid under this JSON Schema. "
        f"Keep its keys as they are.\n{orjson.dumps(schema).decode()}"
    )


def correction(error: AnswerError, schema: Schema) -> str:
    """Return what asks for a wrong answer again."""
    faults = "\n".join(error.faults)[:_SHOWN]
    return with_schema(prompt(REPAIR).filled(faults=faults), schema)
