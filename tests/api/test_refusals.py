"""Refusals, their codes, and that they cost nothing."""

import gzip
from contextlib import closing
from http.client import HTTPConnection

import httpx
import pytest

from app.domain import errors
from app.settings import Settings
from tests.support.clients.problem import problem
from tests.support.fakes.ports import FakeReadiness, FakeVisionModel
from tests.support.files.pictures import ASTRONAUT, DATA, b64
from tests.support.service.application import NO_RETRIES, Rig, small

REFUSED = {
    "no prompt": ({}, 422, "prompt_missing", "prompt"),
    "blank prompt": ({"prompt": " \n"}, 422, "prompt_missing", "prompt"),
    "temperature": ({"prompt": "x", "temperature": 1.1}, 422, "invalid_parameter", "temperature"),
    "top_p": ({"prompt": "x", "top_p": -0.1}, 422, "invalid_parameter", "top_p"),
    "max_gen_len 0": ({"prompt": "x", "max_gen_len": 0}, 422, "invalid_parameter", "max_gen_len"),
    "max_gen_len": ({"prompt": "x", "max_gen_len": 2049}, 422, "invalid_parameter", "max_gen_len"),
    "a number as text": (
        {"prompt": "x", "temperature": "0.1"}, 422, "invalid_parameter", "temperature",
    ),
    "language": ({"prompt": "x", "language": "ja"}, 422, "invalid_parameter", "language"),
    "unknown field": ({"prompt": "x", "top_k": 5}, 422, "unknown_field", "top_k"),
    "bad base64": ({"images": ["@@@@"]}, 422, "invalid_base64", "images.0"),
    "plain data URI": ({"images": ["data:image/png,abc"]}, 422, "invalid_base64", "images.0"),
    "not an image": ({"images": [b64(b"hello there")]}, 422, "not_an_image", "images.0"),
    "empty image": ({"images": [""]}, 422, "not_an_image", "images.0"),
    "image of a wrong kind": ({"images": [5]}, 422, "invalid_parameter", "images.0"),
    "PDF": (
        {"images": [b64((DATA / "four-pages.pdf").read_bytes())]},
        415, "unsupported_image_type", "PDF",
    ),
    "two images": ({"images": [b64(ASTRONAUT)] * 2}, 422, "too_many_images", "images"),
    "raw prompt with system": (
        {"prompt": "x", "raw_prompt": True, "system": "y"}, 422, "invalid_parameter", "raw_prompt",
    ),
    "raw prompt without its marker": (
        {"prompt": "x", "raw_prompt": True, "images": [b64(ASTRONAUT)]},
        422, "invalid_parameter", "<|image|>",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("body", "status", "code", "named"), REFUSED.values(), ids=REFUSED)
def test_invalid_requests_are_refused_by_name_before_the_model_is_called(
    client, model, body, status, code, named
):
    answer = client.post("/v1/generate", json=body)

    told = problem(answer, status, code)
    assert named in told["detail"]
    assert told["errors"]
    assert model.requests == []


def test_every_invalid_field_is_listed(client):
    answer = client.post(
        "/v1/generate", json={"prompt": "x", "temperature": 7, "max_gen_len": 0, "colour": 1}
    )

    listed = problem(answer, 422, "invalid_parameter")["errors"]
    assert {e["field"]: e["code"] for e in listed} == {
        "temperature": "invalid_parameter",
        "max_gen_len": "invalid_parameter",
        "colour": "unknown_field",
    }


@pytest.mark.parametrize(
    ("image", "field", "code"),
    [
        ({}, "images.0", "invalid_parameter"),
        (5, "images.0", "invalid_parameter"),
        ({"media_type": "image/png"}, "images.0", "invalid_parameter"),
        ({"base64": 5}, "images.0.base64", "invalid_parameter"),
        ({"base64": "", "colour": 1}, "images.0.colour", "unknown_field"),
        ({"s3_uri": "http://b/k"}, "images.0.s3_uri", "invalid_parameter"),
        ({"url": "https://x", "version_id": 1}, "images.0.version_id", "unknown_field"),
    ],
)
def test_an_error_in_an_image_names_its_path_in_the_body(client, image, field, code):
    answer = client.post("/v1/generate", json={"images": [image]})

    told = problem(answer, 422, code)
    assert [e["field"] for e in told["errors"]] == [field]
    assert "ImageBase64" not in told["detail"]


@pytest.mark.parametrize(
    ("path", "name", "meant"),
    [
        ("/v1/generate", "max_tokens", "max_gen_len"),
        ("/v1/generate", "image", "images"),
        ("/v1/generate", "Prompt", "prompt"),
        ("/v1/generate", "temprature", "temperature"),
        ("/v1/tasks/vqa", "prompt", "question"),
        ("/v1/images/prepare", "images", "image"),
    ],
)
def test_an_unknown_field_is_refused_with_the_likely_one(client, path, name, meant):
    answer = client.post(path, json={name: "x"})

    field = next(each for each in answer.json()["errors"] if each["field"] == name)
    assert field["message"] == f"there is no such field; did you mean {meant}?"


@pytest.mark.parametrize("name", ["img", "photo", "Picture", "images[0]"])
def test_a_file_under_an_unknown_field_name_is_refused_naming_the_right_one(client, name):
    answer = client.post("/v1/generate/upload", data={"prompt": "x"}, files={name: ASTRONAUT})

    assert problem(answer, 422, "unknown_field")["detail"].endswith("did you mean images?")


def test_no_field_is_suggested_for_an_unlike_name(client):
    answer = client.post("/v1/generate", json={"prompt": "x", "colour": 1})

    assert problem(answer, 422, "unknown_field")["detail"] == "colour: there is no such field"


def test_malformed_json_is_refused_with_its_position(client):
    answer = client.post(
        "/v1/generate", content=b'{"prompt": ', headers={"content-type": "application/json"}
    )

    assert "character 11" in problem(answer, 400, "malformed_json")["detail"]


UNREADABLE = {
    "not UTF-8": b'{"prompt": "\xff"}',
    "too deep": b"[" * 100_000,
    "compressed": gzip.compress(b'{"prompt": "x"}'),
}


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize(
    "path", ["/v1/generate", "/v1/images/prepare", "/v1/chat/completions", "/model/m/converse"]
)
def test_a_body_that_no_parser_of_json_can_read_is_malformed_json_everywhere(path, content):
    settings = Settings(_env_file=None, model_aliases=("m",))
    with Rig(settings=settings).client() as client:
        answer = client.post(path, content=content, headers={"content-type": "Application/JSON"})

    assert answer.status_code == 400
    assert '"code":"malformed_json"' in answer.text
    assert "is not JSON:" in answer.text


@pytest.mark.parametrize("content", [b"[]", b'"x"', b"5"])
def test_json_that_is_not_an_object_is_refused(client, content):
    answer = client.post(
        "/v1/generate", content=content, headers={"content-type": "application/json"}
    )

    problem(answer, 422, "invalid_parameter")


@pytest.mark.parametrize("content_type", ["text/plain", "image/png", "application/xml"])
def test_another_content_type_is_refused(client, content_type):
    answer = client.post(
        "/v1/generate", content=b'{"prompt": "x"}', headers={"content-type": content_type}
    )

    detail = problem(answer, 415, "unsupported_content_type")["detail"]
    assert "application/json" in detail


def test_json_sent_to_the_upload_endpoint_is_refused(client):
    answer = client.post("/v1/generate/upload", json={"prompt": "x"})

    assert "multipart/form-data" in problem(answer, 415, "unsupported_content_type")["detail"]


def test_a_broken_multipart_body_is_refused(client):
    answer = client.post(
        "/v1/generate/upload",
        content=b"nonsense",
        headers={"content-type": "multipart/form-data; boundary=x"},
    )

    problem(answer, 400, "malformed_body")


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/generate/upload", "images"),
        ("/v1/tasks/caption/upload", "images"),
        ("/v1/images/prepare", "image"),
    ],
)
def test_a_file_sent_as_text_is_refused_with_how_to_send_it(client, path, field):
    answer = client.post(path, files={field: (None, "photo.png")})

    told = problem(answer, 422, "invalid_parameter")
    assert f"send a file (curl: -F {field}=@photo.png)" in told["detail"]


def test_a_field_of_a_form_may_be_as_long_as_one_of_json(client, model):
    prompt = "x" * 2**19
    answer = client.post(
        "/v1/generate/upload", data={"prompt": prompt}, files={"images": ("a.png", ASTRONAUT)}
    )

    assert answer.status_code == 200, answer.text
    assert model.requests[0].turns[0].text == prompt


def test_an_unknown_form_field_is_refused_by_name(client):
    answer = client.post(
        "/v1/generate/upload",
        data={"prompt": "x", "colour": "red"},
        files={"images": ("a.png", ASTRONAUT)},
    )

    assert problem(answer, 422, "unknown_field")["errors"][0]["field"] == "colour"


def test_a_body_over_the_limit_is_refused_by_its_declared_length():
    # No byte of the body is sent: a server that waited for it would answer much later.
    with (
        small(max_body_bytes=1000).client() as client,
        closing(HTTPConnection(client.base_url.host, client.base_url.port, timeout=20)) as half,
    ):
        half.putrequest("POST", "/v1/generate")
        half.putheader("Content-Length", "1000000000")
        half.endheaders()
        told = half.getresponse()
        answer = httpx.Response(told.status, headers=told.getheaders(), content=told.read())

    problem(answer, 413, "body_too_large")


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/v1/generate", "application/json"),
        ("/v1/generate/upload", "multipart/form-data; boundary=x"),
    ],
)
def test_a_body_over_the_limit_with_no_declared_length_is_refused_while_it_is_read(
    path, content_type
):
    def chunks():
        yield b'--x\r\nContent-Disposition: form-data; name="prompt"\r\n\r\n'
        for _ in range(100):
            yield b"x" * 100

    with small(max_body_bytes=1000).client() as client:
        answer = client.post(path, content=chunks(), headers={"content-type": content_type})

        problem(answer, 413, "body_too_large")


def test_a_picture_of_too_many_bytes_is_refused_with_both_sizes():
    with small(max_image_bytes=1000).client() as client:
        answer = client.post("/v1/generate/upload", files={"images": ("a.png", ASTRONAUT)})

        detail = problem(answer, 413, "image_too_large")["detail"]
        assert f"{len(ASTRONAUT):,}" in detail
        assert "1,000" in detail


def test_a_picture_of_too_many_pixels_is_refused():
    with small(max_image_pixels=1000).client() as client:
        answer = client.post("/v1/generate", json={"images": [b64(ASTRONAUT)]})

        problem(answer, 413, "image_too_many_pixels")


def test_unknown_paths_and_methods_are_answered_with_problems(client):
    problem(client.get("/v2/generate"), 404, "not_found")
    answer = client.get("/v1/generate")
    assert "POST" in problem(answer, 405, "method_not_allowed")["detail"]
    assert answer.headers["allow"] == "POST"


UPSTREAM = [cls for cls in errors.catalogue() if issubclass(cls, errors.UpstreamError)]


@pytest.mark.parametrize("cls", UPSTREAM, ids=lambda cls: cls.code)
def test_every_upstream_error_keeps_its_status_and_code(cls):
    model = FakeVisionModel(cls("what happened", retry_after=3))
    with Rig(model, retries=NO_RETRIES).client() as client:
        answer = client.post("/v1/generate", json={"prompt": "x"})

    body = problem(answer, cls.status, cls.code)
    assert body["retryable"] is cls.retryable
    if cls is errors.ModelLoadingError:
        # The observed start replaces what AWS says.
        assert int(answer.headers["retry-after"]) > 3
        assert "loading for" in body["detail"]
    else:
        assert answer.headers["retry-after"] == "3"
        assert body["detail"] == "what happened"


def test_an_internal_error_is_a_problem_that_hides_its_cause():
    class Broken(FakeVisionModel):
        async def generate(self, request):
            raise RuntimeError("secret prompt")

    with Rig(Broken()).client() as client:
        answer = client.post("/v1/generate", json={"prompt": "x"})

    assert "secret" not in problem(answer, 500, "internal_error")["detail"]


def test_readiness_without_credentials_fails_naming_what_is_missing():
    readiness = FakeReadiness(errors.NotReadyError("no AWS credentials"))
    with Rig(readiness=readiness).client() as client:
        assert problem(client.get("/readyz"), 503, "not_ready")["detail"] == "no AWS credentials"
        assert client.get("/healthz").status_code == 200
