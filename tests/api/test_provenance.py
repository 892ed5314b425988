"""Web pages of other sites can't make a visitor's browser call the service."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.settings import Settings
from tests.support.clients.problem import problem
from tests.support.files.pictures import ASTRONAUT
from tests.support.service.access import add_key, bearer, guarded
from tests.support.service.application import Rig

FRIEND = "https://app.example.com"
EVIL = "https://evil.example"
JSON = {"content": json.dumps({"prompt": "Hi"}), "headers": {"content-type": "application/json"}}
PLAIN = {"content": json.dumps({"prompt": "Hi"}), "headers": {"content-type": "text/plain"}}
FORM = {"data": {"prompt": "Hi"}, "files": {"images": ("a.png", ASTRONAUT)}}
CALLS = [
    ("/v1/generate", JSON),
    ("/v1/generate", PLAIN),
    ("/v1/generate/upload", FORM),
    ("/v1/chat/completions", JSON),
    ("/model/us.meta.llama3-2-11b-instruct-v1%3A0/invoke", PLAIN),
]


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    """Yield a client of a service on a loopback address, without keys."""
    with Rig(settings=Settings(_env_file=None, cors_origins=FRIEND)).client() as client:
        yield client


def sent(client: httpx.Client, path: str, call: dict[str, Any], **headers: str) -> httpx.Response:
    return client.post(path, **{**call, "headers": {**call.get("headers", {}), **headers}})


@pytest.mark.parametrize(("path", "call"), CALLS)
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": EVIL},
        {"Origin": "null"},
        {"Origin": "http://[::1"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": EVIL, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
        {"Origin": "http://localhost:1", "Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_cross_origin_call_is_refused_in_any_form(client, path, call, headers):
    answer = sent(client, path, call, **headers)

    assert answer.status_code == 403
    assert "may not call this service" in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": FRIEND, "Sec-Fetch-Site": "cross-site"},
        {"Origin": FRIEND},
        {"Origin": "own"},
        {"Origin": "https://public.example", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {},
    ],
    ids=["allowed", "allowed without metadata", "own", "own behind a proxy", "user", "no browser"],
)
def test_a_call_from_an_allowed_origin_or_without_one_is_answered(client, headers):
    own = str(client.base_url).rstrip("/")
    given = {name: own if value == "own" else value for name, value in headers.items()}

    assert sent(client, "/v1/generate", JSON, **given).status_code == 200


def test_a_cross_site_link_to_the_documentation_works(client):
    followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}

    assert client.get("/docs", headers=followed).status_code == 200
    problem(client.get("/v1/usage", headers={"Origin": EVIL}), 403, "origin_not_allowed")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example"])
@pytest.mark.parametrize(("path", "call"), CALLS)
def test_an_unknown_host_name_is_refused(client, path, call, host):
    answer = sent(client, path, call, Host=host)

    # AWS has no such status.
    assert answer.status_code == (403 if path.startswith("/model/") else 421)
    assert "the name in Host is not one" in answer.text
    problem(client.get("/v1/usage", headers={"Host": host}), 421, "host_not_allowed")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1", "[::1]:8000"])
def test_loopback_host_names_are_accepted_on_a_loopback_address(client, host):
    assert sent(client, "/v1/generate", JSON, Host=host).status_code == 200


def test_allowed_hosts_may_contain_wildcards():
    settings = Settings(_env_file=None, allowed_hosts="llm.example.com,*.svc,10.0.*,[::1]")
    with Rig(settings=settings).client() as client:
        statuses = [
            client.get("/v1/models", headers={"Host": host}).status_code
            for host in ("llm.example.com", "a.svc:8", "10.0.3.4", "[::1]", "localhost", "svc")
        ]

    assert statuses == [200, 200, 200, 200, 421, 421]


def test_with_keys_any_host_name_is_accepted_unless_hosts_are_listed(tmp_path: Path):
    text = add_key(tmp_path / "keys.json")
    with guarded(tmp_path / "keys.json").client() as client:
        answer = client.get("/v1/models", headers={**bearer(text), "Host": "llm.example.com"})

    assert answer.status_code == 200


@pytest.mark.parametrize("name", ["https://a.org", "a.org:80", "A.org", "a/b"])
def test_an_invalid_allowed_host_stops_the_start(name):
    with pytest.raises(ValueError, match=r"allowed_hosts: .* is not a name"):
        Settings(_env_file=None, allowed_hosts=name)
