"""Several pictures in one call to an imported model, which accepts up to three."""

import io
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from PIL import Image, ImageColor

from app.settings import Settings
from fixtures.images import sample
from tests.support.fakes.ports import FakeVisionModel
from tests.support.files.drawn_words import encoded
from tests.support.files.pictures import ASTRONAUT, ROCKET, b64
from tests.support.service.application import Rig

IMPORTED = "arn:aws:bedrock:us-west-2:123456789012:imported-model/llama32vis11"
SETTINGS = Settings(_env_file=None, model_id=IMPORTED)


@pytest.fixture
def model() -> FakeVisionModel:
    return FakeVisionModel()


@pytest.fixture
def client(model: FakeVisionModel) -> Iterator[httpx.Client]:
    with Rig(model, settings=SETTINGS).client() as client:
        yield client


def third() -> str:
    return b64(sample("coffee.png"))


def test_three_pictures_reach_the_model_in_their_order(client, model):
    answer = client.post(
        "/v1/generate",
        json={"prompt": "Compare.", "images": [b64(ASTRONAUT), b64(ROCKET), third()]},
    )

    assert answer.status_code == 200, answer.text
    (asked,) = model.requests
    (turn,) = asked.turns
    assert [(image.width, image.height) for image in turn.images] == [
        (512, 512), (640, 427), (600, 400),
    ]  # fmt: skip
    assert [image["received"]["width"] for image in answer.json()["images"]] == [512, 640, 600]


def lying(orientation: int, colour: str) -> bytes:
    """Return a tall JPEG with a black top, stored rotated as ``orientation`` says."""
    upright = Image.new("RGB", (100, 200), colour)
    upright.paste("black", (0, 0, 100, 50))
    turns = {1: 0, 3: 180, 6: 90, 8: 270}
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(upright.rotate(turns[orientation], expand=True), "JPEG", exif=exif, quality=95)


def test_three_exif_rotated_pictures_reach_the_model_upright_in_their_order(client, model):
    colours = {"red": 6, "lime": 3, "blue": 8}
    images = [b64(lying(orientation, colour)) for colour, orientation in colours.items()]
    answer = client.post("/v1/generate", json={"prompt": "Compare.", "images": images})

    assert answer.status_code == 200, answer.text
    (turn,) = model.requests[0].turns
    for image, colour in zip(turn.images, colours, strict=True):
        picture = Image.open(io.BytesIO(image.data)).convert("RGB")
        assert picture.getexif().get(0x0112, 1) == 1
        assert picture.height > picture.width
        pixels: Any = picture.load()
        top, bottom = (pixels[picture.width // 2, picture.height * part // 8] for part in (1, 7))
        assert max(top) < 40
        wanted = ImageColor.getrgb(colour)
        assert max(abs(a - b) for a, b in zip(bottom, wanted, strict=True)) < 40


def test_a_fourth_picture_is_refused_and_the_strategies_are_named(client, model):
    images = [b64(ASTRONAUT), b64(ROCKET), third(), b64(ASTRONAUT)]
    answer = client.post("/v1/generate", json={"prompt": "Compare.", "images": images})

    assert (answer.status_code, answer.json()["code"]) == (422, "too_many_images")
    assert "takes 3" in answer.json()["detail"]
    assert "contact_sheet" in answer.json()["detail"]
    assert model.requests == []


def test_a_contact_sheet_is_still_made_on_request(client, model):
    images = [b64(ASTRONAUT), b64(ROCKET)]
    asked = {"prompt": "Compare.", "images": images, "image_strategy": "contact_sheet"}
    answer = client.post("/v1/generate", json=asked)

    assert answer.status_code == 200, answer.text
    assert [len(turn.images) for turn in model.requests[0].turns] == [1]


def part(data: bytes) -> dict[str, object]:
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{b64(data)}"}}


def test_several_turns_keep_their_own_pictures(client, model):
    messages = [
        {"role": "user", "content": [part(ASTRONAUT), {"type": "text", "text": "Who?"}]},
        {"role": "assistant", "content": "An astronaut."},
        {"role": "user", "content": [part(ROCKET), {"type": "text", "text": "And this?"}]},
    ]
    answer = client.post("/v1/chat/completions", json={"model": IMPORTED, "messages": messages})

    assert answer.status_code == 200, answer.text
    assert [len(turn.images) for turn in model.requests[0].turns] == [1, 0, 1]


def test_models_and_readiness_report_capabilities_and_the_reason_of_the_dialect(client):
    (model,) = client.get("/v1/models").json()["data"]
    ready = client.get("/readyz").json()

    assert (model["dialect"], model["limits"]["max_images"]) == ("chat", 3)
    assert model["capabilities"] == {"structured_output": True, "choice": True, "logprobs": True}
    assert "imported model" in model["dialect_reason"]
    assert ready["dialect_reason"] == model["dialect_reason"]
