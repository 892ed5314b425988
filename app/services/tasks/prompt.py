"""Prompt texts: files beside the code, each with its version in the first line."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from string import Template

SYSTEM = "system"
TEXT_ONLY = "system-text"
"""Instead of `SYSTEM` where no picture is shown."""


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
