"""The requests that every gateway is sent."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from bench import photos
from bench.peers.run import DIRECT, OURS
from bench.photos import Picture

PROMPT = (
    "Describe the sea on a calm morning to someone who has never left a dry country: its colour, "
    "its sound, how it moves and what it smells of. Answer in two sentences, in plain words."
)
"""About 200 bytes."""


class Shape(Enum):
    """How a request is made and answered."""

    JSON = "JSON"
    FORM = "multipart"
    STREAM = "stream"


class Identity(Enum):
    """A gateway's identity to Bedrock."""

    SIGNED = "signed"
    """Credentials, with which each call is signed over its body."""
    API_KEY = "API key"
    """A Bedrock API key, sent along."""


@dataclass(frozen=True, slots=True)
class Workload:
    """One kind of request, with a number of them in flight."""

    name: str
    title: str
    in_flight: int
    shape: Shape = Shape.JSON
    picture: str | None = None
    """Its name in `PICTURES`."""
    only: tuple[str, ...] = ()
    """Gateways that are asked; by default all."""
    identity: Identity = Identity.SIGNED
    chat: bool = False
    """Whether this service is asked in OpenAI's dialect too, as LiteLLM always is."""


PICTURES: dict[str, Callable[[], Picture]] = {
    "100 KB": photos.fitting_100_kb,
    "500 KB": photos.fitting_500_kb,
    "12 MP": photos.phone,
}

_UPLOADS = (DIRECT, OURS)

WORKLOADS = (
    Workload("text-64", "Text of 200 bytes", 64, chat=True),
    Workload("text-1", "Text of 200 bytes", 1),
    Workload("100kb-64", "Picture of 100 KB that fits", 64, picture="100 KB"),
    Workload("100kb-1", "Picture of 100 KB that fits", 1, picture="100 KB"),
    Workload("500kb-64", "Picture of 500 KB that fits", 64, picture="500 KB", chat=True),
    Workload("500kb-1", "Picture of 500 KB that fits", 1, picture="500 KB"),
    Workload(
        *("500kb-key-64", "The 500 KB with a Bedrock API key, which signs nothing", 64),
        picture="500 KB",
        identity=Identity.API_KEY,
        chat=True,
    ),
    Workload("100kb-form-64", "The 100 KB as an upload", 64, Shape.FORM, "100 KB", _UPLOADS),
    Workload("500kb-form-64", "The 500 KB as an upload", 64, Shape.FORM, "500 KB", _UPLOADS),
    Workload("photo-4", "Phone photo of 12 megapixels", 4, picture="12 MP"),
    Workload("stream-16", "Stream of 100 chunks", 16, Shape.STREAM),
    Workload("stream-1", "Stream of 100 chunks", 1, Shape.STREAM),
)

Requests = Iterator[Sequence[bytes]]
"""The bytes of one request after another."""
