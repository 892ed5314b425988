"""The form that an answer must have, and the probabilities of its tokens."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class JsonObject:
    """The answer is a JSON object with any members."""


@dataclass(frozen=True, slots=True)
class JsonSchema:
    """The answer is a JSON value that the schema accepts."""

    name: str
    """The name for the upstream: letters, digits, ``_`` and ``-``, at most 64."""
    schema: Mapping[str, object]
    """JSON Schema. Flat, small schemas are fast, as the upstream compiles each to a grammar."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The answer is one of these texts, and nothing else."""

    options: tuple[str, ...]


OutputForm = JsonObject | JsonSchema | Choice
"""A form that the upstream enforces while it generates."""


@dataclass(frozen=True, slots=True)
class TokenChance:
    """A token that the model could have chosen."""

    token: str
    logprob: float
    """Natural logarithm of its probability, 0 at most."""


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token of the answer, and its alternatives."""

    token: str
    """The token's text; an incomplete character reads as U+FFFD."""
    logprob: float
    """Natural logarithm of its probability, 0 at most."""
    alternatives: tuple[TokenChance, ...] = ()
    """The likeliest tokens at this position in order, usually including the chosen one."""
    data: bytes | None = None
    """The token's UTF-8 bytes, if the upstream returns them; all tokens' bytes form the text."""

    @property
    def written(self) -> bytes:
        """Return the token's bytes, as far as they are known."""
        return self.token.encode("utf-8", "replace") if self.data is None else self.data
