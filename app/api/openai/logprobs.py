"""Log probabilities in OpenAI's form."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from app.domain.output import TokenLogprob
from app.services.deferred_model import DeferredModel

_BYTES = "The token's UTF-8 bytes; null if unknown, as for a part of a character."


class ChatTopLogprob(DeferredModel):
    """An alternative token at one position."""

    token: str
    logprob: float
    bytes: Annotated[list[int] | None, Field(description=_BYTES)]


class ChatTokenLogprob(DeferredModel):
    """A token of the answer, with its log probability."""

    token: str
    logprob: Annotated[float, Field(description="Natural logarithm of the token's probability.")]
    bytes: Annotated[list[int] | None, Field(description=_BYTES)]
    top_logprobs: Annotated[
        list[ChatTopLogprob],
        Field(description="The requested number of alternatives, likeliest first."),
    ]


class ChatLogprobs(DeferredModel):
    """Log probabilities of the answer's tokens."""

    content: list[ChatTokenLogprob] | None
    refusal: None = None

    @classmethod
    def from_domain(cls, tokens: Sequence[TokenLogprob] | None) -> "ChatLogprobs | None":
        """Render ``tokens``; None if there are none."""
        return cls(content=[_token(token) for token in tokens]) if tokens else None


def _token(token: TokenLogprob) -> ChatTokenLogprob:
    return ChatTokenLogprob(
        token=token.token,
        logprob=token.logprob,
        bytes=_bytes(token.token) if token.data is None else list(token.data),
        top_logprobs=[
            ChatTopLogprob(token=other.token, logprob=other.logprob, bytes=_bytes(other.token))
            for other in token.alternatives
        ],
    )


def _bytes(token: str) -> list[int] | None:
    return None if "\ufffd" in token else list(token.encode())
