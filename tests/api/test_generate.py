"""POST /v1/generate and /v1/generate/upload, over a socket."""

import tempfile
from dataclasses import replace
from urllib.parse import quote

import pytest

from app.domain.generation import CallContext, Completion, Sampling, StopReason
from app.domain.image import ImageType
from app.domain.usage import Usage
from tests.support.fakes.ports import FakeVisionModel
from tests.support.files.pictures import ASTRONAUT, ROCKET, b64
from tests.support.service.application import Rig


def test_a_picture_and_a_prompt_are_answered_with_every_documented_field(client, model):
    answer = client.post(
        "/v1/generate", json={"prompt": "Who is this?", "images": [b64(ASTRONAUT)]}
    )

    assert answer.status_code == 200
    body = answer.json()
    assert body["id"].startswith("gen_")
    assert body["model"] == "us.meta.llama3-2-11b-instruct-v1:0"
    assert body["generation"] == "[fake 1 image(s)] Who is this?"
    assert body["prompt_token_count"] == 4
    assert body["generation_token_count"] == 4
    assert body["total_token_count"] == 8
    assert body["stop_reason"] == body["stop_reason_raw"] == "stop"
    assert body["warnings"] == []
    assert body["latency_ms"]["model"] == 7
    (image,) = body["images"]
    assert (image["media_type"], image["width"], image["height"]) == ("image/png", 512, 512)
    assert image["bytes"] == len(ASTRONAUT)


def test_the_prepared_picture_and_the_sampling_reach_the_model(client, model):
    client.post(
        "/v1/generate",
        json={
            "prompt": "?",
            "images": [b64(ROCKET)],
            "system": "Be brief.",
            "temperature": 0,
            "top_p": 1,
            "max_gen_len": 3,
        },
    )

    (request,) = model.requests
    assert request.sampling == Sampling(temperature=0, top_p=1, max_gen_len=3)
    assert request.system == "Be brief."
    (image,) = request.turns[0].images
    assert image.media_type in (ImageType.JPEG, ImageType.PNG)
    assert max(image.width, image.height) <= 1120


ENCODED = b64(ASTRONAUT)


@pytest.mark.parametrize(
    "image",
    [
        f"data:image/png;base64,{ENCODED}",
        {"base64": ENCODED, "media_type": "image/png"},
        {"base64": f"data:image/png;base64,{ENCODED}"},
        "\n".join(ENCODED[i : i + 76] for i in range(0, len(ENCODED), 76)),
        f"data:image/png;base64,{quote(ENCODED, safe='')}",
    ],
    ids=["data URI", "object", "object with data URI", "wrapped lines", "percent-encoded"],
)
def test_every_usual_form_of_base64_is_accepted(client, image):
    answer = client.post("/v1/generate", json={"images": [image]})

    assert answer.status_code == 200
    assert answer.json()["images"][0]["bytes"] == len(ASTRONAUT)


@pytest.mark.parametrize(
    ("address", "form"), [("https://a.example/cat.png", '"url"'), ("s3://a/cat.png", '"s3_uri"')]
)
def test_an_address_sent_as_base64_is_refused_naming_its_own_field(client, address, form):
    refused = client.post("/v1/generate", json={"images": [address]})

    assert refused.json()["code"] == "invalid_base64"
    assert form in refused.json()["detail"]


def test_unused_members_of_a_picture_may_be_null(client):
    image = {"base64": ENCODED, "url": None, "s3_uri": None, "version_id": None, "file_id": None}
    taken = client.post("/v1/generate", json={"images": [image]})
    refused = client.post("/v1/generate", json={"images": [image | {"nonsense": None}]})

    assert taken.status_code == 200, taken.text
    assert refused.json()["errors"][0]["field"] == "images.0.nonsense"


def test_an_upload_is_answered_like_the_same_request_in_json(client, model):
    fields = {"prompt": "Who?", "temperature": "0.1", "max_gen_len": "9", "language": "en"}
    upload = client.post(
        "/v1/generate/upload", data=fields, files={"images": ("a.png", ASTRONAUT, "image/png")}
    )
    json = client.post(
        "/v1/generate",
        json={
            "prompt": "Who?",
            "temperature": 0.1,
            "max_gen_len": 9,
            "language": "en",
            "images": [b64(ASTRONAUT)],
        },
    )

    assert upload.status_code == json.status_code == 200
    varying = ("id", "latency_ms")
    first, second = upload.json(), json.json()
    assert {k: v for k, v in first.items() if k not in varying} | {"images": None} == {
        k: v for k, v in second.items() if k not in varying
    } | {"images": None}
    first_asked, second_asked = (
        replace(request, call_context=CallContext()) for request in model.requests
    )
    assert first_asked == second_asked


@pytest.mark.parametrize(
    ("path", "field"), [("/v1/generate/upload", "images"), ("/v1/images/prepare", "image")]
)
def test_a_large_file_is_never_written_to_disk(client, monkeypatch, path, field):
    # Python would write files over a megabyte there.
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    padded = ASTRONAUT + bytes(3_000_000)

    answer = client.post(path, files={field: ("a.png", padded)})

    assert answer.status_code == 200


def test_a_file_alone_is_described_and_the_default_prompt_is_reported(client, model):
    answer = client.post("/v1/generate/upload", files={"images": ("a.png", ASTRONAUT)})

    assert answer.status_code == 200
    assert model.requests[0].turns[0].text == "Describe this image."
    assert [w["code"] for w in answer.json()["warnings"]] == ["default_prompt"]


def test_empty_form_fields_count_as_omitted(client, model):
    answer = client.post(
        "/v1/generate/upload",
        data={"prompt": "Hi", "language": "", "system": ""},
        files={"images": ("", b"")},
    )

    assert answer.status_code == 200
    assert model.requests[0].system is None


def test_text_alone_is_answered(client):
    answer = client.post("/v1/generate", json={"prompt": "Why is the sky blue?"})

    assert answer.status_code == 200
    assert answer.json()["images"] == []


def test_a_language_is_requested_with_a_warning_beside_a_picture(client, model):
    asked = {"prompt": "Was?", "language": "de"}
    text_only = client.post("/v1/generate", json=asked)
    pictured = client.post("/v1/generate", json={**asked, "images": [b64(ASTRONAUT)]})

    assert model.requests[0].turns[0].text.endswith("Answer in German.")
    assert text_only.json()["warnings"] == []
    assert [w["code"] for w in pictured.json()["warnings"]] == ["language_unsupported_with_images"]


def test_a_raw_prompt_is_sent_unchanged(client, model):
    prompt = "<|begin_of_text|><|image|>What?<|eot_id|>"
    answer = client.post(
        "/v1/generate", json={"prompt": prompt, "raw_prompt": True, "images": [b64(ASTRONAUT)]}
    )

    assert answer.status_code == 200
    assert model.requests[0].raw_prompt
    assert model.requests[0].turns[0].text == prompt


def test_an_answer_cut_at_max_gen_len_has_stop_reason_length(client):
    answer = client.post("/v1/generate", json={"prompt": "a b c", "max_gen_len": 2}).json()

    assert answer["stop_reason"] == "length"
    assert answer["generation_token_count"] == 2


def test_a_paid_answer_with_unknown_stop_reason_and_no_counts_is_not_lost():
    class Newer(FakeVisionModel):
        async def generate(self, request):
            return Completion("Hello", Usage(None, 1), StopReason.OTHER, "tired", None)

    with Rig(Newer()).client() as client:
        body = client.post("/v1/generate", json={"prompt": "Hi"}).json()

    assert body["generation"] == "Hello"
    assert (body["stop_reason"], body["stop_reason_raw"]) == ("other", "tired")
    assert body["prompt_token_count"] is None
    assert body["total_token_count"] is None
