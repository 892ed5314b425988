"""Answers from pixels: the same for the same picture, different for any other."""

import io
from typing import Any

import pytest
from PIL import Image

from app.emulator.config import EmulatorConfig
from app.emulator.model.model import RecentResults, ToyModel
from app.emulator.model.sight.pixels import Pixels, measured
from app.emulator.model.vocabulary import EstimatedVocabulary
from app.emulator.wire.bodies.conversation import Ask, Picture, Sampling
from app.emulator.wire.bodies.picture import checked
from tests.support.emulator.bodies import (
    MODEL,
    body,
    encoded,
    invoked,
    messages,
    plain,
    sample,
    small,
)
from tests.support.emulator.serving import serving

DESCRIBE = "Describe this picture"
EXIF = ("exif-Landscape_1.jpg", "exif-Landscape_6.jpg", "exif-Portrait_8.jpg")


def fingerprint(answer: str) -> str:
    return answer.partition("Fingerprint ")[2][:16]


def test_the_same_question_gets_the_same_answer(runtime: Any) -> None:
    picture = sample("astronaut.png")
    answers = {invoked(runtime, DESCRIBE, picture, temperature=0.7) for _ in range(3)}
    assert len(answers) == 1


def test_both_dialects_give_the_same_answer(runtime: Any) -> None:
    picture = sample("astronaut.png")
    reply = runtime.converse(
        modelId=MODEL, messages=messages(DESCRIBE, picture), inferenceConfig={"temperature": 0}
    )
    said = reply["output"]["message"]["content"][0]["text"]
    assert said == invoked(runtime, DESCRIBE, picture)


def test_every_answer_in_words_names_the_emulator(runtime: Any) -> None:
    prompts = [DESCRIBE, "What text is there?", "Where is 'x'?", "What is the total?", "Hello"]
    answers = [invoked(runtime, prompt, plain()) for prompt in prompts]
    answers.append(invoked(runtime, "Is anybody there?"))
    assert [answer for answer in answers if not answer.startswith("[emulator] ")] == []


def test_a_prompt_without_a_template_or_a_picture_is_answered(runtime: Any) -> None:
    answer = invoked(runtime, "", prompt="The capital of France is")
    assert 'You asked: "The capital of France is".' in answer


def test_only_the_users_last_turn_is_the_question(runtime: Any) -> None:
    conversation = [
        {"role": "user", "content": [{"text": "First"}]},
        {"role": "assistant", "content": [{"text": "Second"}]},
        {"role": "user", "content": [{"text": "Third"}]},
    ]
    reply = runtime.converse(modelId=MODEL, messages=conversation, system=[{"text": "Fourth"}])
    answer = reply["output"]["message"]["content"][0]["text"]
    assert 'You asked: "Third".' in answer
    assert not {"First", "Second", "Fourth"} & set(answer.split())


def test_different_samples_get_different_answers(runtime: Any) -> None:
    names = ["astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg"]
    answers = [invoked(runtime, DESCRIBE, sample(name)) for name in names]
    assert len({fingerprint(answer) for answer in answers}) == len(names)


@pytest.mark.parametrize("name", ["astronaut.png", "chelsea.png", "rocket.jpg"])
def test_a_picture_and_its_seven_rotations_and_reflections_get_different_answers(
    runtime: Any, name: str
) -> None:
    image = small(name)
    turned = [image] + [image.transpose(how) for how in Image.Transpose]
    answers = [invoked(runtime, DESCRIBE, encoded(picture)) for picture in turned]
    assert len({fingerprint(answer) for answer in answers}) == 8


def test_exif_rotated_samples_differ_as_stored_and_agree_once_upright(runtime: Any) -> None:
    stored, upright = {}, {}
    for name in EXIF:
        with Image.open(io.BytesIO(sample(name))) as image:
            image.thumbnail((800, 800))
            exif = image.getexif()
            turns = {1: 0, 6: -90, 8: 90}[exif[274]]
            stored[name] = invoked(runtime, DESCRIBE, encoded(image.convert("RGB")))
            straight = image.convert("RGB").rotate(turns, expand=True)
            upright[name] = invoked(runtime, DESCRIBE, encoded(straight))
    assert len({fingerprint(answer) for answer in stored.values()}) == 3
    first, second = upright[EXIF[0]], upright[EXIF[1]]
    assert "a landscape" in first
    assert "a landscape" in second
    assert "a portrait" in stored[EXIF[1]]
    assert "a portrait" in upright[EXIF[2]]
    differing = int(fingerprint(first), 16) ^ int(fingerprint(second), 16)
    # Two encodings of one scene have nearly the same hash; a rotated one differs much.
    assert differing.bit_count() <= 4
    off = int(fingerprint(first), 16) ^ int(fingerprint(stored[EXIF[1]]), 16)
    assert off.bit_count() > 12


def test_the_exif_orientation_is_ignored(runtime: Any) -> None:
    with Image.open(io.BytesIO(sample(EXIF[1]))) as image:
        image.thumbnail((400, 400))
        exif, buffer = image.getexif(), io.BytesIO()
        image.save(buffer, "JPEG", exif=exif)
    assert exif[274] == 6
    assert "a portrait jpeg picture of" in invoked(runtime, DESCRIBE, buffer.getvalue())


@pytest.mark.parametrize(
    ("picture", "told"),
    [
        (plain((80, 60)), "a landscape png picture of 80x60 pixels"),
        (plain((60, 80)), "a portrait png picture of 60x80 pixels"),
        (plain((60, 60)), "a square png picture of 60x60 pixels"),
        (plain(colour="red"), "Its colours: red 100%"),
        (plain(colour="blue"), "Its colours: blue 100%"),
        (plain(colour="white"), "light (brightness 255 of 255, contrast 0), flat (sharpness 0)"),
        (plain(colour="black"), "dark (brightness 0 of 255, contrast 0), flat (sharpness 0)"),
        (plain(colour="white"), "evenly lit"),
        (sample("chelsea.png"), "medium (brightness"),
        (sample("coffee.png"), ", sharp (sharpness"),
    ],
)
def test_answers_report_size_orientation_colours_brightness_and_sharpness(
    runtime: Any, picture: bytes, told: str
) -> None:
    assert told in invoked(runtime, DESCRIBE, picture)


def test_answers_report_the_lightest_side(runtime: Any) -> None:
    image = Image.new("RGB", (100, 100), "black")
    image.paste("white", (0, 0, 100, 40))
    sides = [
        invoked(runtime, DESCRIBE, encoded(image.rotate(-turn))).partition("lightest at the ")[2]
        for turn in (0, 90, 180, 270)
    ]
    assert [side.partition(".")[0] for side in sides] == ["top", "right", "bottom", "left"]


def test_transparent_pixels_are_read_on_white(runtime: Any) -> None:
    clear = encoded(Image.new("RGBA", (40, 40), (255, 0, 0, 0)))
    assert "Its colours: white 100%" in invoked(runtime, DESCRIBE, clear)


def variants(seeds: range, temperature: float) -> set[str]:
    found = set()
    for seed in seeds:
        with serving(EmulatorConfig(seed=seed)) as served:
            found.add(invoked(served.client(), DESCRIBE, plain(), temperature=temperature))
    return found


def test_a_seed_varies_the_wording_but_not_at_temperature_0() -> None:
    assert len(variants(range(5), temperature=0)) == 1
    assert len(variants(range(5), temperature=1)) > 1


def test_parameters_above_temperature_0_vary_the_wording_of_the_same_facts(runtime: Any) -> None:
    temperatures = [0.1 * step for step in range(1, 11)]
    answers = {invoked(runtime, DESCRIBE, plain(), temperature=t) for t in temperatures}
    assert len(answers) > 1
    assert len({fingerprint(answer) for answer in answers}) == 1


def test_a_configured_answer_is_given_without_decoding_a_picture() -> None:
    no_picture = b"these bytes are no picture"
    with serving(EmulatorConfig(fixed_answer="Always the same.")) as served:
        client = served.client()
        assert invoked(client, "Hi") == "Always the same."
        assert invoked(client, "Hi", no_picture) == "Always the same."
        reply = client.converse(modelId=MODEL, messages=messages("Hi", no_picture))
        assert reply["output"]["message"]["content"][0]["text"] == "Always the same."
        assert served.admin("GET", "requests")["requests"][-1]["image_count"] == 1


def test_a_long_body_is_answered_like_a_short_one(runtime: Any) -> None:
    assert runtime.invoke_model(modelId=MODEL, body=body("word " * 20_000))["body"].read()


async def test_a_repeated_picture_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[str] = []

    def counted(picture: Picture) -> Pixels:
        decoded.append(picture.sha256)
        return measured(picture)

    monkeypatch.setattr("app.emulator.model.model.measured", counted)
    thinking = ToyModel(EmulatorConfig(read_words=False), EstimatedVocabulary())
    pictures = [checked(plain(colour=colour), "images.0") for colour in ("red", "blue", "red")]
    try:
        for picture in pictures:
            await thinking.speech(Ask("", (), Sampling(), (picture,)))
    finally:
        thinking.close()
    assert decoded == [picture.sha256 for picture in pictures[:2]]


def test_only_the_latest_results_are_remembered() -> None:
    memory = RecentResults(size=2)
    for key in "abc":
        memory.put(key, key)
        memory.get("a")
    assert [memory.get(key) for key in "abc"] == ["a", None, "c"]
