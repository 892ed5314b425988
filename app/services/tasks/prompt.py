"""Loads prompt texts from files beside the code, whose first line has the version."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from string import Template

SYSTEM = "system"
TEXT_ONLY = "system-text"
"""The prompt that replaces `SYSTEM` for questions without a picture."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt text with placeholders."""

    name: str
    version: int
    text: str

    def filled(self, **values: str) -> str:
        """Return the text with its ``$`` placeholders replaced, but not those in the values."""
        return Template(self.text).substitute(values)


@cache
def prompt(name: str) -> Prompt:
    """Return the prompt in ``prompts/<name>.txt``."""
    first, _, text = (
        files(__package__).joinpath("prompts", f"{name}.txt").read_text().partition("\n")
    )
    return Prompt(name, int(first.removeprefix("version ")), text.strip())
