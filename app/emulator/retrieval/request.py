"""The body of Retrieve, read and checked."""

import base64
from binascii import Error
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson

from app.emulator.retrieval import filters
from app.emulator.wire.bodies import picture
from app.emulator.wire.bodies.conversation import Picture
from app.emulator.wire.errors import invalid

_FIELDS = {"guardrailConfiguration", "nextToken", "retrievalConfiguration", "retrievalQuery"}
_SEARCHES = {
    "vectorSearchConfiguration": {
        "filter",
        "implicitFilterConfiguration",
        "numberOfResults",
        "overrideSearchType",
        "rerankingConfiguration",
    },
    "managedSearchConfiguration": {
        "filter",
        "numberOfResults",
        "rerankingConfiguration",
        "rerankingModelType",
    },
}
_RERANKING_TYPES = ("CUSTOM", "MANAGED", "NONE")
_FORMATS = ("png", "jpeg", "gif", "webp")
_MOST, _USUAL, _MAX_PICTURE = 100, 5, 5 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Query:
    """One Retrieve request."""

    text: str
    """Empty for a query by picture."""
    picture: Picture | None
    filter: dict[str, Any] | None
    results: int
    """Results on a page."""
    reranked: int | None
    """The number of results to rank again; None wants no reranking."""
    start: int
    """Results before this page."""
    digest: str
    """A digest of all that must stay alike from page to page."""

    def token(self, end: int) -> str:
        """Return what leads to the page that begins at ``end``."""
        return base64.urlsafe_b64encode(f"{end}|{self.digest}".encode()).decode()


def parse(body: bytes) -> Query:
    """Return the query in a body, or raise a 400."""
    fields = _object(body)
    configuration = fields.get("retrievalConfiguration") or {}
    search = _search(configuration)
    text, seen = _question(fields.get("retrievalQuery"))
    kept = {key: fields.get(key) for key in ("retrievalConfiguration", "retrievalQuery")}
    digest = sha256(orjson.dumps(kept, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
    wanted = search.get("filter")
    return Query(
        text=text,
        picture=seen,
        filter=None if wanted is None else filters.checked(wanted),
        results=_count(search.get("numberOfResults", _USUAL), "numberOfResults"),
        reranked=_MOST
        if search.get("rerankingModelType") == "MANAGED"
        else _reranked(search.get("rerankingConfiguration")),
        start=_start(fields.get("nextToken"), digest),
        digest=digest,
    )


def _object(body: bytes) -> dict[str, Any]:
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise invalid("The request body is not valid JSON.") from None
    unknown = sorted(fields.keys() - _FIELDS - {"userContext"}) if isinstance(fields, dict) else []
    if not isinstance(fields, dict) or unknown:
        raise invalid(f"Unknown member(s) in the request: {', '.join(unknown)}")
    return fields


def _search(configuration: object) -> dict[str, Any]:
    if not isinstance(configuration, dict) or configuration.keys() - _SEARCHES.keys():
        raise invalid(f"retrievalConfiguration holds one of {', '.join(_SEARCHES)}.")
    if len(configuration) > 1:
        raise invalid("retrievalConfiguration holds one configuration only.")
    search: object = next(iter(configuration.values()), {})
    if not isinstance(search, dict):
        raise invalid("The search configuration must be an object.")
    name = next(iter(configuration), "vectorSearchConfiguration")
    if unknown := sorted(search.keys() - _SEARCHES[name]):
        raise invalid(f"Unknown member(s) in {name}: {', '.join(unknown)}")
    if search.get("rerankingModelType", "NONE") not in _RERANKING_TYPES:
        raise invalid(f"rerankingModelType must be one of {', '.join(_RERANKING_TYPES)}.")
    if search.get("overrideSearchType", "HYBRID") not in ("HYBRID", "SEMANTIC"):
        raise invalid("overrideSearchType must be one of HYBRID, SEMANTIC.")
    return search


def _question(query: object) -> tuple[str, Picture | None]:
    match query:
        case {"type": "IMAGE", "image": {"format": kind, "inlineContent": str(encoded)}}:
            if kind not in _FORMATS:
                raise invalid(f"image.format must be one of {', '.join(_FORMATS)}.")
            data = picture.from_base64(encoded, "image")
            where = "retrievalQuery.image"
            return "", picture.checked(data, where, kind, most_bytes=_MAX_PICTURE, most_side=8000)
        case {"text": str(text), **more} if text.strip() and len(text) <= 20_000:
            if more.get("type", "TEXT") == "TEXT":
                return text, None
    raise invalid("retrievalQuery must hold a text of up to 20000 characters, or an image.")


def _count(value: object, key: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST:
        raise invalid(f"{key} must be between 1 and {_MOST}.")
    return value


def _reranked(configuration: object) -> int | None:
    match configuration:
        case None:
            return None
        case {
            "type": "BEDROCK_RERANKING_MODEL",
            "bedrockRerankingConfiguration": {"modelConfiguration": {"modelArn": str()}, **more},
        }:
            return _count(more.get("numberOfRerankedResults", _MOST), "numberOfRerankedResults")
    raise invalid("rerankingConfiguration must name a Bedrock reranking model.")


def _start(token: object, digest: str) -> int:
    if token is None:
        return 0
    try:
        begin, _, of = base64.urlsafe_b64decode(str(token)).decode().partition("|")
        start = int(begin)
    except (Error, ValueError):
        raise invalid("The nextToken is not valid.") from None
    if of != digest:
        raise invalid("The nextToken belongs to another query.")
    return start
