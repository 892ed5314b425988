"""The short way past FastAPI's routing answers exactly as FastAPI's own way does."""

import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.api.routing.express import plans
from app.main import ROUTERS
from tests.support.app import Rig
from tests.support.fakes import FakeVisionModel
from tests.support.pictures import ROCKET, b64

# Read by FastAPI only, so a request that has it goes the long way; its value is the default.
LONG = {"X-Allow-Second-Bill": "false"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def asked():
    model = FakeVisionModel()
    with Rig(model).client() as client:
        yield client, model


def outcome(answer: httpx.Response) -> Any:
    """What a caller sees, but for ids and times."""
    body = answer.json()
    for name in ("id", "latency_ms"):
        body.pop(name, None)
    return answer.status_code, answer.headers["content-type"], body


def both_ways(
    client: httpx.Client, content: bytes, headers: dict[str, str] = JSON, path: str = "/v1/generate"
) -> Any:
    headers = headers | {"X-Request-Id": "the-same"}
    short = client.post(path, content=content, headers=headers)
    long = client.post(path, content=content, headers=headers | LONG)
    assert outcome(short) == outcome(long)
    return short


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
def test_a_body_has_the_same_answer_or_refusal_both_ways(asked, body):
    both_ways(asked[0], json.dumps(body).encode())


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
def test_strange_json_has_the_same_answer_or_refusal_both_ways(asked, content):
    both_ways(asked[0], content)


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
def test_a_declared_type_has_the_same_answer_or_refusal_both_ways(asked, headers):
    both_ways(asked[0], b'{"prompt": "x"}', headers)


@pytest.mark.parametrize("path", sorted(plans(ROUTERS)))
def test_every_route_that_has_a_short_way_refuses_the_same_both_ways(asked, path):
    form = path.endswith("/upload")
    body, headers = in_form(("no_such_field", "1")) if form else (b'{"no_such_field": 1}', JSON)
    refused = both_ways(asked[0], body, headers, path)

    assert refused.status_code in (400, 422)


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
def test_any_options_have_the_same_answer_or_refusal_both_ways(asked, options):
    both_ways(asked[0], json.dumps(options).encode("utf-8", "surrogatepass"))


def in_form(*parts: tuple[str, str | tuple[str, bytes, str]]) -> tuple[bytes, dict[str, str]]:
    """Return a multipart body of ``parts``, texts or files, and what declares it."""
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
def test_a_form_has_the_same_answer_or_refusal_both_ways(asked, parts):
    both_ways(asked[0], *in_form(*parts), path="/v1/generate/upload")


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
def test_a_strange_form_has_the_same_answer_or_refusal_both_ways(asked, content, declared):
    headers = {"Content-Type": declared}
    refused = both_ways(asked[0], content, headers, "/v1/generate/upload")

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
def test_a_form_that_breaks_off_is_refused_both_ways(asked, length):
    client, model = asked
    model.requests.clear()

    refused = both_ways(client, WHOLE[:length], FORM, "/v1/generate/upload")
    assert (refused.status_code, refused.json()["code"]) == (400, "malformed_body")
    assert model.requests == []


@pytest.mark.parametrize("length", [len(WHOLE) // 2, WHOLE.index(b"--edge--")])
def test_a_form_that_comes_in_pieces_and_breaks_off_is_refused(asked, length):
    pieces = (WHOLE[at : min(at + 1000, length)] for at in range(0, length, 1000))

    refused = asked[0].post("/v1/generate/upload", content=pieces, headers=FORM)
    assert (refused.status_code, refused.json()["code"]) == (400, "malformed_body")


@pytest.mark.parametrize("end", [b"", b"\r\n", b"\r\nan epilogue"])
def test_a_form_is_whole_with_its_last_boundary(asked, end):
    whole = WHOLE.removesuffix(b"\r\n") + end

    assert both_ways(asked[0], whole, FORM, "/v1/generate/upload").status_code == 200


def test_an_upload_goes_the_short_way_too(asked, monkeypatch):
    client, model = asked
    model.requests.clear()
    monkeypatch.setattr("fastapi.routing.solve_dependencies", None)
    body, headers = in_form(("prompt", "What?"), ("images", PHOTO))

    answer = client.post("/v1/generate/upload", content=body, headers=headers)
    assert answer.json()["images"][0]["received"]["declared_type"] == "image/jpeg"
    assert len(model.requests) == 1


def test_plain_requests_do_go_the_short_way(asked, monkeypatch):
    client, model = asked
    model.requests.clear()
    monkeypatch.setattr("fastapi.routing.solve_dependencies", None)  # which FastAPI's way needs

    assert client.post("/v1/generate", json={"prompt": "x"}).status_code == 200
    assert client.post("/v1/generate", json={"prompt": "x"}, headers=LONG).status_code == 500
    assert len(model.requests) == 1


def test_a_body_in_pieces_goes_the_short_way_too(asked):
    client, model = asked
    model.requests.clear()

    def pieces():
        yield b'{"prompt": "'
        yield from (b"x" * 50_000 for _ in range(5))
        yield b'"}'

    assert client.post("/v1/generate", content=pieces(), headers=JSON).status_code == 200
    assert model.requests[0].turns[0].text == "x" * 250_000
