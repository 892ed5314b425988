"""Every POST takes one path: headers, content type and size do not change how a body is read."""

import json
import threading
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.api.routing import json_body
from tests.support.fakes.ports import FakeVisionModel
from tests.support.files.pictures import ROCKET, b64
from tests.support.service.application import Rig

OPTIONAL = (
    {"X-Allow-Second-Bill": "false"},
    {"X-Request-Timeout": "60"},
    {"Idempotency-Key": "a key"},
)
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def asked():
    model = FakeVisionModel()
    with Rig(model).client() as client:
        yield client, model


def outcome(answer: httpx.Response) -> Any:
    """Return the answer without ids and times."""
    body = answer.json()
    for name in ("id", "latency_ms"):
        body.pop(name, None)
    return answer.status_code, answer.headers["content-type"], body


def alike(
    client: httpx.Client, content: bytes, headers: dict[str, str] = JSON, path: str = "/v1/generate"
) -> Any:
    """Assert that optional headers do not change the answer, and return it."""
    headers = headers | {"X-Request-Id": "the-same"}
    plain = client.post(path, content=content, headers=headers)
    # Without the idempotency key: its next use with another body would be refused.
    for more in OPTIONAL[:2]:
        assert outcome(client.post(path, content=content, headers=headers | more)) == outcome(plain)
    return plain


@pytest.mark.parametrize(
    "body",
    [
        {"prompt": "Hi"},
        {"prompt": "Grüße, 世界", "system": "Be brief.", "temperature": 0, "top_p": 1},
        {"prompt": "What?", "images": [b64(ROCKET)]},
        {"prompt": "What?", "images": [{"base64": b64(ROCKET), "media_type": "image/png"}]},
        {"prompt": "Bonjour", "language": "fr", "image_strategy": "single"},
        {},
        {"prompt": 1},
        {"prompt": "x", "temperature": "0.5"},
        {"prompt": "x", "temperature": 2},
        {"prompt": "x", "max_gen_len": 1.5},
        {"prompt": "x", "max_gen_len": 64.0},
        {"prompt": "x", "max_gen_len": True},
        {"prompt": "x", "stream": "yes"},
        {"prompt": "x", "no_such_field": 1},
        {"prompt": "x", "images": "not a list"},
        {"prompt": "x", "images": [{"url": 1}, {"base64": "!"}]},
        {"prompt": "x", "language": "xx"},
        [],
        "text",
        None,
    ],
)
def test_any_body_gets_the_same_answer_with_and_without_optional_headers(asked, body):
    alike(asked[0], json.dumps(body).encode())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'{"prompt": "x",}',
        b'{"prompt": "a", "prompt": "b"}',
        b'{"prompt": "x", "temperature": NaN}',
        b'{"prompt": "x", "temperature": 1e400}',
        b'{"prompt": "half a pair \\ud83d"}',
        b'\xef\xbb\xbf{"prompt": "x"}',
        b'{"prompt": "\xff"}',
        '{"prompt": "x"}'.encode("utf-16"),
        b'{"prompt": "\\u0000"}',
        b"[" * 500,
    ],
)
def test_unusual_json_gets_the_same_answer_with_and_without_optional_headers(asked, content):
    alike(asked[0], content)


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/json; charset=utf-8"},
        {"Content-Type": "APPLICATION/JSON"},
        {"Content-Type": "application/problem+json"},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/jsonp"},
        {},
    ],
)
def test_any_declared_type_gets_the_same_answer_with_and_without_optional_headers(asked, headers):
    alike(asked[0], b'{"prompt": "x"}', headers)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.dictionaries(
        st.sampled_from(["prompt", "system", "temperature", "max_gen_len", "stop", "raw_prompt"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner, max_size=2),
            max_leaves=3,
        ),
    )
)
def test_any_options_get_the_same_answer_with_and_without_optional_headers(asked, options):
    alike(asked[0], json.dumps(options).encode("utf-8", "surrogatepass"))


def in_form(*parts: tuple[str, str | tuple[str, bytes, str]]) -> tuple[bytes, dict[str, str]]:
    """Return a multipart body of ``parts``, texts or files, and its Content-Type header."""
    lines: list[bytes] = []
    for name, value in parts:
        named = f'content-disposition: form-data; name="{name}"'.encode()
        if isinstance(value, tuple):
            file, data, kind = value
            named += f'; filename="{file}"\r\ncontent-type: {kind}'.encode()
        else:
            data = value.encode()
        lines += [b"--edge", named, b"", data]
    body = b"\r\n".join((*lines, b"--edge--", b""))
    return body, {"Content-Type": "multipart/form-data; boundary=edge"}


PHOTO = ("rocket.jpg", ROCKET, "image/jpeg")


@pytest.mark.parametrize(
    "parts",
    [
        [("prompt", "What?"), ("images", PHOTO)],
        [("prompt", "Grüße"), ("temperature", "0"), ("max_gen_len", "5"), ("stream", "false")],
        [("images", PHOTO)],
        [("images", PHOTO), ("images", PHOTO)],
        [("images", PHOTO), ("images", PHOTO), ("image_strategy", "contact_sheet")],
        [("prompt", "x"), ("system", ""), ("language", ""), ("images", ("", b"", "image/png"))],
        [("images", ("", b"", "image/png")), ("images", PHOTO)],
        [("prompt", "x"), ("images", "")],
        [("prompt", "x"), ("images", "a text")],
        [("prompt", "x"), ("images", ("", b"data", "image/png"))],
        [("prompt", PHOTO)],
        [("prompt", "x"), ("prompt", "y")],
        [("prompt", "x"), ("no_such_field", "1")],
        [("prompt", "x"), ("temperature", "2"), ("max_gen_len", "1.5")],
        [("prompt", "x"), ("image_strategy", "none")],
        [("prompt", "x"), ("images", ("x.txt", b"words", "text/plain"))],
        [],
    ],
)
def test_any_form_gets_the_same_answer_with_and_without_optional_headers(asked, parts):
    alike(asked[0], *in_form(*parts), path="/v1/generate/upload")


@pytest.mark.parametrize(
    ("content", "declared"),
    [
        (b"", "multipart/form-data; boundary=edge"),
        (b"--edge", "multipart/form-data; boundary=edge"),
        (b"no form", "multipart/form-data; boundary=edge"),
        (in_form(("prompt", "x"))[0][:-12], "multipart/form-data; boundary=edge"),
        (in_form(("prompt", "x"))[0], "multipart/form-data"),
        (in_form(("prompt", "x"))[0], "multipart/form-data; boundary=other"),
        (in_form(("prompt", "x"))[0], "Multipart/Form-Data; boundary=edge"),
        (in_form(("prompt", "x"))[0], "multipart/form-data; boundary=edge; charset=nonsense"),
        (in_form(("prompt", "\ud7ff"))[0], "multipart/form-data; boundary=edge"),
        (in_form(*[("prompt", "x")] * 1100)[0], "multipart/form-data; boundary=edge"),
        (b"prompt=x", "application/x-www-form-urlencoded"),
        (b'{"prompt": "x"}', "application/json"),
    ],
)
def test_an_unusual_form_gets_the_same_answer_with_and_without_optional_headers(
    asked, content, declared
):
    headers = {"Content-Type": declared}
    refused = alike(asked[0], content, headers, "/v1/generate/upload")

    assert refused.status_code < 500


WHOLE, FORM = in_form(("prompt", "What?"), ("images", PHOTO), ("max_gen_len", "5"))


@pytest.mark.parametrize(
    "length",
    [
        0,
        len("--edge"),
        WHOLE.index(b"What?") + 2,
        WHOLE.index(b"image/jpeg"),
        WHOLE.index(ROCKET) + len(ROCKET) // 2,
        WHOLE.index(ROCKET) + len(ROCKET),
        WHOLE.index(b"max_gen_len"),
        WHOLE.index(b"--edge--"),
        len(WHOLE) - len("--\r\n"),
        len(WHOLE) - len("-\r\n"),
    ],
)
def test_a_truncated_form_is_refused_with_and_without_optional_headers(asked, length):
    client, model = asked
    model.requests.clear()

    refused = alike(client, WHOLE[:length], FORM, "/v1/generate/upload")
    assert (refused.status_code, refused.json()["code"]) == (400, "malformed_body")
    assert model.requests == []


@pytest.mark.parametrize("length", [len(WHOLE) // 2, WHOLE.index(b"--edge--")])
def test_a_truncated_form_sent_in_pieces_is_refused(asked, length):
    pieces = (WHOLE[at : min(at + 1000, length)] for at in range(0, length, 1000))

    refused = asked[0].post("/v1/generate/upload", content=pieces, headers=FORM)
    assert (refused.status_code, refused.json()["code"]) == (400, "malformed_body")


@pytest.mark.parametrize("end", [b"", b"\r\n", b"\r\nan epilogue"])
def test_a_form_ends_at_its_last_boundary(asked, end):
    whole = WHOLE.removesuffix(b"\r\n") + end

    assert alike(asked[0], whole, FORM, "/v1/generate/upload").status_code == 200


def test_an_upload_in_pieces_is_the_same_as_in_one(asked):
    client, model = asked
    model.requests.clear()
    pieces = (WHOLE[at : at + 777] for at in range(0, len(WHOLE), 777))

    answers = [
        client.post("/v1/generate/upload", content=content, headers=FORM)
        for content in (WHOLE, pieces)
    ]
    assert outcome(answers[0]) == outcome(answers[1])
    assert answers[0].json()["images"][0]["received"]["declared_type"] == "image/jpeg"
    assert model.requests[0].turns == model.requests[1].turns


@pytest.mark.parametrize("name", ["image", "file", "files", "images[]"])
def test_a_file_is_accepted_under_each_usual_field_name(asked, name):
    body, headers = in_form((name, PHOTO))

    assert asked[0].post("/v1/generate/upload", content=body, headers=headers).status_code == 200


def test_a_body_in_pieces_is_read_whole(asked):
    client, model = asked
    model.requests.clear()

    def pieces():
        yield b'{"prompt": "'
        yield from (b"x" * 50_000 for _ in range(5))
        yield b'"}'

    assert client.post("/v1/generate", content=pieces(), headers=JSON).status_code == 200
    assert model.requests[0].turns[0].text == "x" * 250_000


@pytest.mark.parametrize("path", ["/v1/generate", "/v1/chat/completions", "/v1/tasks/caption"])
@pytest.mark.parametrize(
    ("header", "value"),
    [("X-Request-Timeout", "soon"), ("X-Allow-Second-Bill", "2"), ("Idempotency-Key", "")],
)
def test_an_invalid_header_is_refused_together_with_the_errors_of_the_body(
    asked, path, header, value
):
    refused = asked[0].post(path, json={"nonsense": 1}, headers={header: value})

    assert refused.status_code in (400, 422)
    assert header in refused.text
    assert "nonsense" in refused.text or "messages" in refused.text


def test_a_header_that_an_operation_does_not_document_is_ignored(asked):
    answer = asked[0].post("/v1/estimate", json={"prompt": "x"}, headers={"Idempotency-Key": ""})

    assert answer.status_code == 200


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd"])
def test_a_compressed_body_is_refused_by_name(asked, encoding):
    refused = asked[0].post(
        "/v1/generate", content=b"...", headers=JSON | {"Content-Encoding": encoding}
    )

    assert (refused.status_code, refused.json()["code"]) == (415, "unsupported_content_type")
    assert encoding in refused.json()["detail"]


def test_null_counts_as_omitted_except_for_an_unknown_field(asked):
    client, model = asked
    taken = client.post("/v1/generate", json={"prompt": "x", "temperature": None, "stream": None})
    refused = client.post("/v1/generate", json={"prompt": "x", "nonsense": None})

    assert taken.status_code == 200, taken.text
    assert model.requests[-1].sampling.temperature == 0.5
    assert refused.json()["code"] == "unknown_field"


def test_at_most_ten_errors_are_listed_and_the_rest_counted(asked):
    refused = asked[0].post("/v1/generate", json={"images": [0] * 5_000})

    assert refused.status_code == 422
    assert len(refused.json()["errors"]) == 10
    assert "and 4,990 more" in refused.json()["detail"]
    assert len(refused.content) < 4_000


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/generate", {"images": [0] * 300_000}),
        ("/v1/estimate", {"images": [0] * 300_000}),
        ("/v1/images/prepare", {"image": [0] * 300_000}),
        ("/v1/tasks/caption", {"images": [0] * 300_000}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}] * 200_001}),
        ("/model/m/invoke", {"images": [0] * 300_000}),
        ("/model/m/converse", {"messages": [0] * 300_000}),
    ],
)
def test_a_body_of_too_many_values_is_refused_in_every_dialect(asked, path, body):
    refused = asked[0].post(path, json=body)

    assert refused.status_code in (400, 422)
    assert "values or more; at most 10,000" in refused.text
    assert len(refused.content) < 1_000


@pytest.mark.parametrize(
    "body", [{"prompt": "x" * 2**20}, {"prompt": "x", "images": [0] * 5_000}], ids=["long", "many"]
)
def test_large_bodies_are_parsed_in_a_thread_pool_of_their_own(asked, body, monkeypatch):
    names, loads = [], json_body.loads

    def noted(raw: bytes, *, few: bool) -> Any:
        names.append(threading.current_thread().name)
        return loads(raw, few=few)

    monkeypatch.setattr(json_body, "loads", noted)
    asked[0].post("/v1/generate", json=body)

    assert [name.partition("_")[0] for name in names] == ["json"]


def test_a_long_name_in_a_body_is_cut_in_the_problem(asked):
    refused = asked[0].post("/v1/generate", json={"x" * 100_000: 1})

    assert len(refused.content) < 2_000


@pytest.mark.parametrize(
    "path",
    [
        "/healthz/",
        "/v1/models/",
        "/v1/generate/",
        "/healthz//",
        "/v1/files/file-1/",
        "/v1/batches/batch_1/cancel/",
        "/model/a-model/converse/",
        "/v1/models/a-model/",
    ],
)
def test_a_trailing_slash_redirects_to_a_path_without_a_host(asked, path):
    for method in ("GET", "POST", "HEAD"):
        answer = asked[0].request(method, f"{path}?a=1")

        assert answer.status_code == 307
        assert answer.headers["location"] == f"{path.rstrip('/')}?a=1"


def test_a_form_sent_to_a_json_path_is_pointed_to_the_upload_path(asked):
    refused = asked[0].post("/v1/generate", files={"image": b"..."}, data={"prompt": "x"})

    assert refused.status_code == 415
    assert "/upload" in refused.json()["detail"]


def test_a_trailing_slash_on_an_unknown_path_is_not_redirected(asked):
    assert asked[0].get("/nothing/").status_code == 404


@pytest.mark.parametrize("path", ["/healthz", "/v1/models", "/v1/tasks", "/docs", "/openapi.json"])
def test_head_is_answered_without_a_body_where_get_is(asked, path):
    got, head = asked[0].get(path), asked[0].head(path)

    assert (head.status_code, head.content) == (got.status_code, b"")
    assert head.headers["content-length"] == got.headers["content-length"]


def test_head_is_refused_where_get_is(asked):
    assert asked[0].head("/v1/generate").status_code == 405


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/files", "GET, HEAD, POST"),
        ("/v1/files/file-1", "DELETE, GET, HEAD"),
        ("/v1/batches", "GET, HEAD, POST"),
        ("/v1/models", "GET, HEAD"),
        ("/v1/generate", "POST"),
        ("/healthz", "GET, HEAD"),
    ],
)
@pytest.mark.parametrize("method", ["OPTIONS", "PUT"])
def test_a_refused_method_is_answered_with_all_the_others_of_its_path(asked, method, path, allowed):
    client, _ = asked

    answer = client.request(method, path)

    assert answer.status_code == 405
    assert answer.headers["allow"] == allowed
    assert f"{method} is not allowed here; accepted: {allowed}" in answer.text
