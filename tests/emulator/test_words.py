"""Words drawn by the tests are read: as text, boxes, answers and JSON."""

import io
import json
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator
from PIL import Image, ImageDraw, ImageFont

from app.emulator.config import EmulatorConfig
from app.emulator.model.sight.ocr import NoReader, RapidReader, reader
from tests.support.emulator.bodies import DATA, MODEL, encoded, invoked, messages, written
from tests.support.emulator.serving import serving

# One worker loads the engine: it takes a quarter of a gigabyte.
pytestmark = pytest.mark.xdist_group("ocr")

LINES = ("ACME STORE", "Date: 2026-11-20", "Coffee 3.50", "Croissant 2.80", "Total: 42.10")
RECEIPT = written(*LINES)
CHINESE = DATA / "droid-fallback-subset.ttf"


def test_the_ocr_engine_is_installed_with_its_models() -> None:
    # Fails, rather than being skipped, if the extra is missing.
    assert isinstance(reader(wanted=True), RapidReader)


def test_words_in_a_picture_are_read(runtime: Any) -> None:
    answer = invoked(runtime, "What text is in this picture?", RECEIPT)
    assert answer.splitlines()[1:] == list(LINES)


def test_words_of_other_languages_in_latin_script_are_read(runtime: Any) -> None:
    lines = ("Bonjour le monde", "Guten Morgen", "Buenos dias amigo", "Buongiorno Italia")
    answer = invoked(runtime, "Read the text", written(*lines))
    assert answer.splitlines()[1:] == list(lines)


def test_numbers_beside_chinese_words_are_read_as_a_whole(runtime: Any) -> None:
    image = Image.new("RGB", (640, 160), "white")
    pen, chinese = ImageDraw.Draw(image), ImageFont.truetype(CHINESE, 36)
    pen.text((40, 40), "東京", "black", chinese)
    pen.text((130, 40), "1,234.50", "black", ImageFont.load_default(36))
    answer = invoked(runtime, "Read the text", encoded(image))
    assert [line.replace(" ", "", 1) for line in answer.splitlines()[1:]] == ["東京1,234.50"]


def test_a_picture_upside_down_is_not_read_as_if_upright(runtime: Any) -> None:
    with Image.open(io.BytesIO(RECEIPT)) as image:
        turned = encoded(image.rotate(90, expand=True))
    upright = invoked(runtime, "Read the text", RECEIPT)
    assert invoked(runtime, "Read the text", turned) != upright


def test_a_picture_without_words_has_none(runtime: Any) -> None:
    blank = encoded(Image.new("RGB", (300, 200), "white"))
    assert invoked(runtime, "What text is there?", blank) == "[emulator] I see no words."


@pytest.mark.parametrize(
    ("question", "value"),
    [
        ("What is the total?", "42.10"),
        ("How much does the coffee cost?", "3.50"),
        ("On which date was it bought?", "2026-11-20"),
    ],
)
def test_a_question_is_answered_from_the_line_that_holds_its_words(
    runtime: Any, question: str, value: str
) -> None:
    answer = invoked(runtime, question, RECEIPT)
    assert answer.startswith(f"[emulator] {value} (the picture says ")


def boxes(answer: str) -> list[list[float]]:
    found = [part.partition("]")[0] for part in answer.split("[")[3:]]
    return [[float(side) for side in part.split(",")] for part in found]


@pytest.mark.parametrize(
    "question", ["Where is the word 'Croissant'?", "Locate croissant", "Find:\n- Croissant"]
)
def test_a_word_is_located_where_it_was_drawn(runtime: Any, question: str) -> None:
    (box,) = boxes(invoked(runtime, question, RECEIPT))
    left, top, right, bottom = box
    # Drawn at (40, 240) of 700x500 in letters of 34 pixels.
    assert left == pytest.approx(40 / 700, abs=0.03)
    assert top == pytest.approx(245 / 500, abs=0.03)
    assert right == pytest.approx(185 / 700, abs=0.05)
    assert bottom == pytest.approx(275 / 500, abs=0.03)


def test_a_phrase_of_two_words_is_one_box(runtime: Any) -> None:
    (phrase,) = boxes(invoked(runtime, 'Where is "ACME STORE"?', RECEIPT))
    (word,) = boxes(invoked(runtime, 'Where is "STORE"?', RECEIPT))
    assert phrase[0] < word[0]
    assert phrase[2] == pytest.approx(word[2], abs=0.01)


def test_a_missing_object_is_not_located(runtime: Any) -> None:
    assert '"Banana": not found' in invoked(runtime, "Where is 'Banana'?", RECEIPT)


def json_answer(runtime: Any, text: str, schema: dict[str, Any], **more: Any) -> Any:
    prompt = f"{text}\nAnswer with JSON under this schema:\n{json.dumps(schema)}"
    answer = json.loads(invoked(runtime, prompt, RECEIPT, **more))
    Draft202012Validator(schema).validate(answer)
    return answer


def test_a_receipt_is_extracted_under_the_callers_schema(runtime: Any) -> None:
    schema = {
        "type": "object",
        "properties": {
            "vendor": {"type": ["string", "null"]},
            "purchaseDate": {"type": "string", "format": "date"},
            "total_due": {"type": "number"},
            "tax": {"anyOf": [{"type": "number"}, {"type": "null"}]},
            "iban": {"type": "string"},
            "items": {"type": "array", "items": {"$ref": "#/$defs/Item"}},
            "notes": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["vendor", "purchaseDate", "total_due", "tax", "iban", "items", "notes"],
        "additionalProperties": False,
        "$defs": {
            "Item": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "price": {"type": "number"}},
                "required": ["name", "price"],
            }
        },
    }
    assert json_answer(runtime, "Extract the receipt.", schema) == {
        "vendor": "ACME STORE",
        "purchaseDate": "2026-11-20",
        "total_due": 42.1,
        "tax": None,
        "iban": "",
        "items": [{"name": "Coffee", "price": 3.5}, {"name": "Croissant", "price": 2.8}],
        "notes": [],
    }


def test_the_schema_may_stand_in_the_system_text(runtime: Any) -> None:
    schema = {"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]}
    reply = runtime.converse(
        modelId=MODEL,
        messages=messages("Extract this.", RECEIPT),
        system=[{"text": f"Reply as {json.dumps(schema)}"}],
    )
    assert json.loads(reply["output"]["message"]["content"][0]["text"]) == {"total": 42.1}


def test_text_and_lines_are_filled_in_reading_order(runtime: Any) -> None:
    lines = {"type": "array", "items": {"type": "string"}}
    schema = {"type": "object", "properties": {"text": {"type": "string"}, "lines": lines}}
    answer = json_answer(runtime, "Transcribe this.", schema)
    assert answer == {"text": "\n".join(LINES), "lines": list(LINES)}


BOX_LIST = {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4}
BOX_OBJECT = {
    "type": "object",
    "properties": {key: {"type": "number"} for key in ("x", "y", "width", "height")},
    "required": ["x", "y", "width", "height"],
}


@pytest.mark.parametrize("box", [BOX_LIST, BOX_OBJECT])
def test_grounding_under_a_schema_gives_a_box_per_place(runtime: Any, box: Any) -> None:
    entry = {
        "type": "object",
        "properties": {"label": {"type": "string"}, "box": box},
        "required": ["label", "box"],
    }
    found = {"type": "array", "items": entry}
    schema = {"type": "object", "properties": {"boxes": found}, "required": ["boxes"]}
    answer = json_answer(runtime, "Locate:\n- Total\n- Coffee\n- Banana", schema)
    assert [entry["label"] for entry in answer["boxes"]] == ["Total", "Coffee"]
    place = answer["boxes"][0]["box"]
    left, top = place[:2] if isinstance(place, list) else (place["x"], place["y"])
    assert left == pytest.approx(40 / 700, abs=0.03)
    assert top == pytest.approx(315 / 500, abs=0.03)


def test_relevance_distinguishes_a_picture_with_the_word_from_one_without(runtime: Any) -> None:
    schema = {
        "type": "object",
        "properties": {
            "score": {"type": "number", "minimum": 0, "maximum": 1},
            "found": {"type": "boolean"},
        },
    }
    with_word = json_answer(runtime, 'How relevant is this to "croissant"?', schema)
    without = json_answer(runtime, 'How relevant is this to "motorway"?', schema)
    assert with_word == {"score": 1.0, "found": True}
    assert without == {"score": 0.0, "found": False}


def test_a_document_question_is_answered_with_a_quote(runtime: Any) -> None:
    schema = {
        "type": "object",
        "properties": {"answer": {"type": ["string", "null"]}, "quote": {"type": "string"}},
    }
    found = json_answer(runtime, 'Question: "What is the total?"', schema)
    assert found == {"answer": "42.10", "quote": "Total: 42.10"}
    missing = json_answer(runtime, 'Question: "Who is the captain?"', schema)
    assert missing == {"answer": None, "quote": ""}


def test_a_chart_is_read_as_points(runtime: Any) -> None:
    point = {
        "type": "object",
        "properties": {"label": {"type": "string"}, "value": {"type": "number"}},
    }
    schema = {
        "type": "object",
        "properties": {
            "title": {"type": "string"},
            "type": {"enum": ["bar", "line", "unknown"]},
            "points": {"type": "array", "items": point},
        },
    }
    chart = written("Rainfall", "Jan 10", "Feb 20", "Mar 15")
    prompt = f"Read the chart. {json.dumps(schema)}"
    assert json.loads(invoked(runtime, prompt, chart)) == {
        "title": "Rainfall",
        "type": "unknown",
        "points": [
            {"label": "Jan", "value": 10},
            {"label": "Feb", "value": 20},
            {"label": "Mar", "value": 15},
        ],
    }


def test_json_truncated_by_the_limit_ends_in_the_middle(runtime: Any) -> None:
    schema = {"type": "object", "properties": {"text": {"type": "string"}}}
    prompt = f"Read the text. {json.dumps(schema)}"
    cut = invoked(runtime, prompt, RECEIPT, max_gen_len=8)
    with pytest.raises(json.JSONDecodeError):
        json.loads(cut)
    assert invoked(runtime, prompt, RECEIPT).startswith(cut)


def test_without_the_engine_the_answer_says_that_it_cannot_read() -> None:
    with serving(EmulatorConfig(read_words=False)) as served:
        client = served.client()
        assert served.admin("GET", "health")["reads_words"] is False
        assert "I can't read words" in invoked(client, "What text is there?", RECEIPT)
        assert "a landscape png" in invoked(client, "Describe this", RECEIPT)
        schema = {"type": "object", "properties": {"text": {"type": "string"}}}
        assert json.loads(invoked(client, json.dumps(schema), RECEIPT)) == {"text": ""}


def test_a_missing_package_is_not_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.emulator.model.sight.ocr.find_spec", lambda _: None)
    assert isinstance(reader(wanted=True), NoReader)
