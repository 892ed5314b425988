"""Every answer of the API forbids intermediate caches to store it."""

from typing import Any

import httpx
import pytest

from tests.support.service.application import Rig

ANSWERS: list[tuple[str, str, dict[str, Any] | None]] = [
    ("GET", "/healthz", None),
    ("GET", "/readyz", None),
    ("GET", "/metrics", None),
    ("GET", "/v1/models", None),
    ("GET", "/v1/tasks", None),
    ("GET", "/v1/usage", None),
    ("GET", "/openapi.json", None),
    ("GET", "/docs", None),
    ("GET", "/nowhere", None),
    ("DELETE", "/v1/cache", None),
    ("PUT", "/v1/generate", None),
    ("POST", "/v1/generate", {"prompt": "Why?"}),
    ("POST", "/v1/generate", {"prompt": "Why?", "stream": True}),
    ("POST", "/v1/generate", {"prompt": 1}),
    ("POST", "/v1/estimate", {"prompt": "Why?"}),
    ("POST", "/v1/chat/completions", {"model": "x", "messages": []}),
    ("POST", "/model/unknown/converse", {"messages": []}),
]


@pytest.mark.parametrize(("method", "path", "body"), ANSWERS)
def test_every_answer_says_no_store(method, path, body):
    with Rig().client() as http:
        answer = http.request(method, path, json=body)

    assert answer.headers["Cache-Control"] == "no-store"


def test_an_answer_to_malformed_http_says_no_store_too():
    import socket

    with Rig().client() as http:
        url = httpx.URL(str(http.base_url))
        with socket.create_connection((url.host, url.port or 80), timeout=10) as raw:
            raw.sendall(b"GET / HTTP/9.9\r\n\r\n")
            answer = raw.recv(65536)

    assert b"cache-control: no-store" in answer.lower()
