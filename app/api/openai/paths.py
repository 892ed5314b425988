"""Paths that OpenAI's clients request, and hints for those that do not exist."""

import re

_KINDS = (
    "assistants|audio|batches|chat|chatkit|completions|containers|conversations|embeddings|evals|"
    "files|fine_tuning|images|models|moderations|realtime|responses|threads|uploads|vector_stores|"
    "videos"
)
_BARE = re.compile(f"/({_KINDS})(/|$)")
_ELSEWHERE = re.compile("/(chat/completions|completions|responses|embeddings|models)(/|$)")
_TWICE = re.compile("(/v1){2,}/")
LONGEST = 200
"""Maximum characters of a path in an error."""


def misses_base(path: str) -> bool:
    """Tell whether ``path`` is one of OpenAI's under another base than `/v1`."""
    if path.startswith("/v1/"):
        return False
    return _BARE.match(path) is not None or _ELSEWHERE.search(path) is not None


def missing(path: str) -> str:
    """Return the error's text for ``path``, with a hint about the client's base URL."""
    shown = path[:LONGEST]
    if _BARE.match(path):
        return f"there is no {shown}: the base URL has to end in /v1, so that /v1{shown} is asked"
    if misses_base(path):
        return f"there is no {shown}: the base URL has to be this service's address and /v1"
    if _TWICE.match(path):
        return f"there is no {shown}: the base URL has to end in one /v1, here it has more"
    return (
        f"there is no {shown}; of OpenAI's paths this service has POST /v1/chat/completions, "
        "POST /v1/responses, GET /v1/models and GET /v1/models/{model}, /v1/files, /v1/uploads "
        "and /v1/batches; see /docs"
    )
