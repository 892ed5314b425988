"""Checks problem documents (RFC 9457)."""

from typing import Any

import httpx


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Assert that ``answer`` is a complete problem document, and return it."""
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body["code"]) == (status, code), body
    assert body["status"] == status
    assert body["request_id"] == answer.headers["x-request-id"]
    assert set(body) == {
        "type", "title", "status", "detail", "code", "retryable", "request_id", "errors",
    }  # fmt: skip
    assert body["detail"]
    return body
