"""Authentication and authorisation, and that a refusal does not read the body."""

import io
import json
import socket
import subprocess
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from structlog.testing import capture_logs

from app.__main__ import main
from app.adapters.access import key_file
from app.api.pipeline.authorization import CLOSED, rule_for, rules
from app.domain import key
from app.domain.access import Scope
from app.domain.generation import Completion, ModelRequest
from app.settings import PREFIX, Settings, SettingsError, load
from tests.support.clients.problem import problem
from tests.support.fakes.ports import FakeVisionModel
from tests.support.service.access import RELOAD, add_key, bearer, guarded
from tests.support.service.application import Rig
from tests.support.service.openapi_document import DOCUMENT

ASKED = {"prompt": "Hi"}


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def eventually(call, status: int) -> httpx.Response:
    """Repeat ``call`` until it is answered with ``status``, for at most ten seconds."""
    for _ in range(round(10 / RELOAD)):
        answer: httpx.Response = call()
        if answer.status_code == status:
            return answer
        time.sleep(RELOAD)
    raise AssertionError(f"still {answer.status_code}")


@pytest.mark.parametrize("header", ["Authorization", "X-API-Key"])
def test_a_key_is_accepted_in_either_header(keys, header):
    text = add_key(keys, Scope.GENERATE)
    value = f"Bearer {text}" if header == "Authorization" else text

    with guarded(keys).client() as client:
        answer = client.post("/v1/generate", json=ASKED, headers={header: value})

    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "credentials_missing"),
        ({"authorization": ""}, "credentials_missing"),
        ({"authorization": "Basic YTpi"}, "credentials_missing"),
        ({"authorization": "Bearer nonsense"}, "credentials_invalid"),
        ({"x-api-key": f"lvk_{'0' * 12}_{'x' * 43}"}, "credentials_invalid"),
        ({"x-api-key": "\xff".encode()}, "credentials_invalid"),
    ],
)
def test_without_a_good_key_the_answer_is_401_with_a_challenge(keys, headers, code):
    add_key(keys)

    with guarded(keys).client() as client:
        answer = client.post("/v1/generate", json=ASKED, headers=headers)

    problem(answer, 401, code)
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_the_right_id_with_another_secret_is_refused(keys):
    text = add_key(keys)
    wrong = text[:-1] + ("a" if text[-1] != "a" else "b")

    with guarded(keys).client() as client:
        problem(
            client.post("/v1/generate", json=ASKED, headers=bearer(wrong)),
            401,
            "credentials_invalid",
        )


def test_a_key_without_the_scope_is_refused_by_name(keys):
    text = add_key(keys, Scope.TASKS)

    with guarded(keys).client() as client:
        answer = client.post("/v1/generate", json=ASKED, headers=bearer(text))

    assert "scope generate" in problem(answer, 403, "scope_missing")["detail"]


def test_a_key_created_or_revoked_while_the_service_runs_takes_effect_at_once(keys):
    add_key(keys)
    with guarded(keys).client() as client:

        def ask() -> httpx.Response:
            return client.post("/v1/generate", json=ASKED, headers=bearer(text))

        text = add_key(keys)
        eventually(ask, 200)
        key_file.write(keys, [key.revoke(record) for record in key_file.read(keys)])
        answer = eventually(ask, 401)

    assert "revoked" in problem(answer, 401, "credentials_invalid")["detail"]


@pytest.mark.parametrize(
    "spoil", [lambda path: path.write_text("spoilt"), Path.unlink], ids=["spoilt", "removed"]
)
def test_a_key_file_damaged_or_removed_while_the_service_runs_changes_nothing(keys, spoil):
    text = add_key(keys)
    with guarded(keys).client() as client:
        with capture_logs() as logged:
            spoil(keys)
            time.sleep(10 * RELOAD)

        assert client.post("/v1/generate", json=ASKED, headers=bearer(text)).status_code == 200
        # Once, and not with every check of the file.
        warned = [line["log_level"] for line in logged if line["event"] == "keys not reloaded"]
        assert warned == ["warning"]
        more = add_key(keys) if not keys.exists() else text
        eventually(lambda: client.post("/v1/generate", json=ASKED, headers=bearer(more)), 200)


def test_keys_can_come_from_the_environment(monkeypatch):
    text, record = key.issue("env", [Scope.GENERATE])
    monkeypatch.setenv(f"{PREFIX}KEYS", key.render([record]))

    with Rig(settings=Settings(_env_file=None)).client() as client:
        assert client.post("/v1/generate", json=ASKED).status_code == 401
        assert client.post("/v1/generate", json=ASKED, headers=bearer(text)).status_code == 200


def test_a_refusal_does_not_wait_for_the_body(keys):
    add_key(keys)
    with guarded(keys).client() as client:
        where = urlsplit(str(client.base_url))
        with socket.create_connection((where.hostname, where.port), timeout=10) as raw:
            # A megabyte is announced and none of it sent.
            raw.sendall(
                b"POST /v1/generate HTTP/1.1\r\nhost: localhost\r\n"
                b"content-type: application/json\r\n"
                b"content-length: 1000000\r\n\r\n"
            )
            assert raw.recv(1000).startswith(b"HTTP/1.1 401 ")


def test_health_is_open_and_settings_decide_on_readiness_and_docs(keys):
    add_key(keys)
    with guarded(keys).client() as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 200
        assert client.get("/docs").status_code == 401
        assert client.get("/openapi.json").status_code == 401
    with guarded(keys, public_docs=True, public_readiness=False).client() as client:
        assert client.get("/readyz").status_code == 401
        assert client.get("/docs").status_code == 200
        assert client.get("/openapi.json").status_code == 200


@pytest.mark.parametrize("path", ["/docs", "/"])
def test_a_browser_that_has_no_key_is_shown_a_page_that_says_what_to_do(keys, path):
    add_key(keys)
    with guarded(keys).client() as client:
        shown = client.get(path, headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
        problem(client.get(path), 401, "credentials_missing")
        called = client.get("/v1/usage", headers={"Accept": "text/html"})

    assert shown.status_code == 401
    assert shown.headers["content-type"].startswith("text/html")
    assert "LLAMA_VISION_PUBLIC_DOCS=true" in shown.text
    assert shown.headers["x-request-id"] in shown.text
    problem(called, 401, "credentials_missing")


def test_an_unknown_caller_cannot_tell_missing_paths_from_existing_ones(keys):
    add_key(keys)
    with guarded(keys).client() as client:
        problem(client.get("/nothing"), 401, "credentials_missing")
        problem(client.get("/v1/usage"), 401, "credentials_missing")
        for path in ("/v1/nothing", "/v1/models", "/chat/completions"):
            refused = client.get(path)
            assert refused.status_code == 401
            assert refused.json()["error"]["code"] == "credentials_missing"


def all_rules():
    return rules(public_docs=True, public_readiness=True)


def test_every_route_has_a_rule_of_its_own():
    paths = [*DOCUMENT["paths"], "/", "/docs", "/docs/files/x.js", "/openapi.json"]

    assert [path for path in paths if rule_for(path, all_rules()) is CLOSED] == []


@pytest.mark.parametrize("path", ["/v1/generateX", "/healthzz", "//healthz", "/v1", "/docsx", ""])
def test_a_path_that_only_begins_like_an_open_one_is_closed(path):
    assert rule_for(path, all_rules()) is CLOSED


def test_the_openapi_document_lists_credentials_scopes_and_refusals():
    operation = DOCUMENT["paths"]["/v1/generate"]["post"]

    assert operation["security"] == [{"bearer": []}, {"apiKey": []}]
    assert "scope `generate`" in operation["description"]
    assert "scope_missing" in operation["responses"]["403"]["description"]
    throttled = operation["responses"]["429"]
    assert "rate_limited" in throttled["description"]
    assert "model_throttled" in throttled["description"]
    assert "security" not in DOCUMENT["paths"]["/healthz"]["get"]


def test_a_non_loopback_host_without_keys_is_refused_with_what_to_do(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(f"{PREFIX}HOST", "0.0.0.0")

    with pytest.raises(SettingsError, match=f"^{PREFIX}HOST: .*{PREFIX}AUTH=disabled"):
        load()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.9.9.9"])
def test_a_loopback_host_is_served_without_keys(host):
    assert not Settings(_env_file=None, host=host).authenticates


def test_a_non_loopback_host_is_served_with_keys_or_with_auth_disabled(keys):
    assert Settings(_env_file=None, host="0.0.0.0", keys_file=keys).authenticates
    assert not Settings(_env_file=None, host="::", auth="disabled").authenticates


def test_configured_keys_are_not_required_when_auth_is_disabled(keys):
    with Rig(settings=Settings(_env_file=None, keys_file=keys, auth="disabled")).client() as client:
        assert client.post("/v1/generate", json=ASKED).status_code == 200


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"keys": "[]", "keys_file": "x"}, "keys: is set beside"),
        ({"keys": '[{"id": 1}]'}, "keys: entry 0"),
        ({"cors_origins": "*"}, "cors_origins: '\\*'"),
        ({"cors_origins": "https://a.org, a.org"}, "cors_origins: 'a.org'"),
        ({"cors_origins": "https://a.org/"}, "cors_origins"),
    ],
)
def test_contradictory_or_careless_access_settings_are_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        Settings(_env_file=None, **settings)


def command(
    *arguments: str, file: Path | None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m app keys`` in this process, as starting another takes two seconds."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        if file is not None:
            patch.setenv(f"{PREFIX}KEYS_FILE", str(file))
        if cwd is not None:
            patch.chdir(cwd)
        try:
            status = main(["keys", *arguments])
        except SystemExit as end:  # argparse exits this way on invalid arguments
            status = int(end.code or 0)
    return subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())


def test_the_command_line_creates_lists_and_revokes_keys_and_shows_each_once(keys):
    made = command("create", "Ann", "--scope", "tasks", "--limits", '{"requests": "1/day"}',
                   file=keys)  # fmt: skip
    text = made.stdout.strip()
    parts = key.split(text)
    assert parts is not None, made.stderr
    assert text not in keys.read_text()
    assert keys.stat().st_mode & 0o077 == 0

    listed = command("list", file=keys).stdout
    assert parts[0] in listed
    assert parts[1] not in listed
    for told in ("valid", "tasks", "1/day", "Ann"):
        assert told in listed

    assert command("revoke", parts[0], file=keys).returncode == 0
    (record,) = key_file.read(keys)
    assert record.revoked
    assert "revoked" in command("list", file=keys).stdout
    assert command("revoke", "nobody", file=keys).returncode == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", "Ann", "--limits", "[1]"), "not a JSON object"),
        (("create", "Ann", "--limits", "5"), "not a JSON object"),
        (("create", "Ann", "--limits", "{"), "invalid"),
        (("create", "Ann\tvalid"), "can be printed"),
        (("list",), "No such file"),
    ],
)
def test_the_command_line_reports_invalid_arguments_and_a_missing_file(keys, arguments, said):
    run = command(*arguments, file=keys)

    assert run.returncode == 2
    assert said in run.stderr
    assert "Traceback" not in run.stderr
    assert not keys.exists()


def test_the_command_line_finds_the_file_in_the_env_file_as_the_service_does(keys, tmp_path):
    (tmp_path / ".env").write_text(f"{PREFIX}KEYS_FILE={keys.name}\n")

    made = command("create", "Ann", file=None, cwd=tmp_path)
    listed = command("list", file=None, cwd=tmp_path)

    (record,) = key_file.read(keys)
    assert record.id in made.stderr
    assert record.id in listed.stdout


def test_without_a_file_the_record_is_printed_for_an_environment_variable(tmp_path):
    made = command("create", "Ann", file=None, cwd=tmp_path)

    assert key.split(made.stdout.strip())
    (record,) = key.parse(made.stderr[made.stderr.index("[") :])
    assert record.scopes == (Scope.GENERATE, Scope.TASKS, Scope.IMAGES)
    assert json.dumps(record.id)


def test_an_allowed_origin_may_call_and_another_may_not(keys):
    text = add_key(keys)
    with guarded(keys, cors_origins="https://a.org").client() as client:
        preflight = {"access-control-request-method": "POST",
                     "access-control-request-headers": "authorization,content-type"}  # fmt: skip
        allowed = client.options("/v1/generate", headers={"origin": "https://a.org", **preflight})
        refused = client.options("/v1/generate", headers={"origin": "https://b.org", **preflight})
        called = client.post(
            "/v1/generate", json=ASKED, headers={"origin": "https://a.org", **bearer(text)}
        )

    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "https://a.org"
    assert "access-control-allow-credentials" not in allowed.headers
    assert refused.status_code == 400
    assert "access-control-allow-origin" not in refused.headers
    assert called.headers["access-control-allow-origin"] == "https://a.org"
    exposed = called.headers["access-control-expose-headers"].split(", ")
    assert {"X-Request-Id", "X-Image-Report", "X-Should-Retry"} <= set(exposed)


def test_a_page_may_send_the_headers_that_sdks_add(keys):
    sent = "authorization,content-type,x-stainless-os,x-stainless-retry-count,openai-beta"
    preflight = {
        "origin": "https://a.org",
        "access-control-request-method": "POST",
        "access-control-request-headers": sent,
    }
    add_key(keys)
    with guarded(keys, cors_origins="https://a.org").client() as client:
        allowed = client.options("/v1/chat/completions", headers=preflight)

    assert allowed.status_code == 200
    assert set(sent.split(",")) <= set(allowed.headers["access-control-allow-headers"].split(","))


def test_a_page_may_use_only_the_methods_that_routes_have():
    settings = Settings(_env_file=None, cors_origins="https://a.org")
    preflight = {"origin": "https://a.org", "access-control-request-method": "POST"}
    with Rig(settings=settings).client() as client:
        allowed = client.options("/v1/generate", headers=preflight)

    methods = {method.upper() for operations in DOCUMENT["paths"].values() for method in operations}
    assert set(allowed.headers["access-control-allow-methods"].split(", ")) == methods


class Broken(FakeVisionModel):
    async def generate(self, request: ModelRequest) -> Completion:
        raise ZeroDivisionError


def test_a_page_may_read_an_internal_error():
    settings = Settings(_env_file=None, cors_origins="https://a.org")
    with Rig(Broken(), settings=settings).client() as client:
        answer = client.post("/v1/generate", json=ASKED, headers={"origin": "https://a.org"})

    problem(answer, 500, "internal_error")
    assert answer.headers["access-control-allow-origin"] == "https://a.org"


def test_every_answer_carries_the_security_headers(client):
    for answer in (client.get("/healthz"), client.get("/nothing"), client.get("/docs")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert "script-src 'self'" in client.get("/docs").headers["content-security-policy"]


def test_a_rate_limit_store_that_hangs_is_waited_for_until_the_deadline():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = Settings(
            _env_file=None,
            limits={"requests": "10/hour"},
            limits_store="redis",
            redis_url=f"redis://127.0.0.1:{silent.getsockname()[1]}/0",
        )
        with Rig(settings=settings).client() as client:
            answer = client.post("/v1/generate", json=ASKED, headers={"x-request-timeout": "0.3"})

    problem(answer, 504, "deadline_exceeded")
