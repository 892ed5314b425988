"""76 raw answers of small vision models, through the tasks' endpoints."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.domain.generation import StopReason
from tests.support.files.pictures import ASTRONAUT, ROCKET, b64
from tests.support.model.scripted import ScriptedVisionModel, completion
from tests.support.service.application import Rig

ANSWERS = [
    json.loads(line)
    for line in Path("tests/data/raw-answers.jsonl").read_text(encoding="utf-8").splitlines()
]
ACME = {"vendor": "ACME", "date": "2024-01-05", "total": 42.1}
LIDL = {"vendor": "LIDL", "date": "2024-01-06", "total": 7.35}
TOTAL = {"answer": "42.10", "confidence": "high"}
NONE = None
CAT = {"label": "cat"}

# The result and the codes of its warnings; None: no result even after a second call.
RIGHT: dict[int, tuple[dict[str, Any] | None, set[str]]] = {
    1: (NONE, set()),
    2: (NONE, set()),
    3: (TOTAL, set()),
    4: ({"alt_text": "Stone column with eagle", "tags": ["seafront", "monument"]}, set()),
    5: (TOTAL, set()),
    6: ({"caption": "Two cats asleep.", "tags": ["cats"]}, set()),
    7: ({"fields": ACME, "not_found": []}, set()),
    8: ({"fields": ACME, "not_found": []}, set()),
    9: ({"answer": "6"}, set()),
    10: ({"fields": {"vendor": "ACME", "date": None, "total": 42.1}, "not_found": ["date"]}, set()),
    11: ({"fields": {"name": "Ann Lee", "status": "single", "member": True}}, set()),
    12: (
        {"answer": 'A white background with the words "I\'m Feeling Lucky" in black.'},
        set(),
    ),
    13: ({"text": 'He said "hello", and left.\nTotal: "42.10"'}, set()),
    14: (
        {"text": "C:\\Users\\new\\table.txt costs \\$5 and \\alpha = \\frac{1}{2}"},
        set(),
    ),
    15: ({"fields": ACME}, set()),
    16: ({"fields": LIDL}, {"several_answers"}),
    17: ({"fields": LIDL}, {"several_answers"}),
    18: (NONE, set()),
    19: ({"fields": {"type": "receipt", "vendor": "ACME", "total": 42.1}}, set()),
    20: ({"steps": ["A sentence"], "answer": "Another sentence"}, set()),
    21: (NONE, set()),
    22: (NONE, set()),
    23: (NONE, set()),
    24: ({"fields": {**ACME, "total": 1234.56}}, set()),
    25: ({"fields": {"vendor": "Rydges Hotels", "date": "04/08/2025", "total": 58.62}}, set()),
    26: ({"fields": {**ACME, "total": 73.2}}, set()),
    27: ({"fields": {"vendor": "LIDL", "date": "05.01.2024", "total": 1234.56}}, set()),
    28: (NONE, set()),
    29: (
        {
            "fields": {
                "vendor": "ACME",
                "items": [{"name": "Bread", "quantity": 2, "price": 1.29}],
                "total": None,
            }
        },
        set(),
    ),
    30: ({"fields": ACME}, set()),
    31: ({"fields": {"invoice_number": "000123", "zip": "02134", "amount": "42.10"}}, set()),
    32: (
        {"fields": {"invoice_number": "12345678901234567890123", "zip": "5000", "amount": "42.10"}},
        set(),
    ),
    33: ({"fields": {"account": "083004", "balance": -1234.56}}, set()),
    34: ({"fields": {**ACME, "total": None}, "not_found": ["total"]}, set()),
    35: ({"fields": {"name": "Ann Lee", "status": "married", "member": True}}, set()),
    36: ({"text": "| Material | No. of trays | Drying time | Set temp. |"}, {"answer_cut_off"}),
    37: (
        {
            "fields": {
                "vendor": "ACME",
                "items": [{"name": "Bread", "quantity": 1, "price": 1.29}],
                "total": None,
            }
        },
        {"answer_cut_off"},
    ),
    38: (NONE, set()),
    39: (
        {
            "nodes": [
                {"id": "n1", "label": "Start"},
                {"id": "n2", "label": "Check"},
                {"id": "n3", "label": "End"},
            ],
            "edges": [{"source": "n1", "target": "n2", "label": None}],
            "explanation": None,
        },
        {"answer_cut_off"},
    ),
    40: ({"text": "ACME\nTOTAL 42.10\nTHANKS"}, {"boxes_left_out"}),
    41: ({"text": "ACME\nTOTAL 42.10"}, {"boxes_left_out"}),
    42: (
        {
            "tables": [
                {
                    "page": 1,
                    "rows": [
                        ["Item", "Qty", "Price"],
                        ["Bread", "1", "1.29"],
                        ["Milk", "", "0.99"],
                        ["Total", "", "2.28"],
                    ],
                }
            ]
        },
        set(),
    ),
    43: (
        {"tables": [{"page": 1, "rows": [["Item", "Price"], ["Bread", "1.29"], ["Milk", "0.99"]]}]},
        set(),
    ),
    44: ({"text": "ACME\nTOTAL 42.10\nTHANK YOU"}, set()),
    45: (
        {"text": 'Config:\n```json\n{ "text": "I am not the page" }\n```\nend of page'},
        set(),
    ),
    46: (NONE, set()),
    47: (NONE, set()),
    48: ({"not_found": ["remote control"]}, set()),
    49: (NONE, set()),
    50: ({"not_found": []}, set()),
    51: ({"not_found": ["remote control"]}, set()),
    52: ({"not_found": []}, set()),
    53: ({"answer": "true", "confidence": "high"}, set()),
    54: (TOTAL, {"confidence_in_words"}),
    55: (TOTAL, set()),
    56: ({"answer": "42.10", "quote": "Total: 42.10"}, {"value_left_out"}),
    57: ({"answer": None}, set()),
    58: ({"answer": None}, set()),
    59: ({"answer": "Unknown"}, set()),
    60: (NONE, set()),
    61: (NONE, set()),
    62: (
        {
            "table": {
                "columns": ["Height", "men"],
                "rows": [["170", 70.0], ["170", 82.0], ["180", 90.0]],
            }
        },
        set(),
    ),
    63: (
        {"table": {"columns": ["Year", "Units"], "rows": [["2020", 10.0], ["2021", 15.0]]}},
        set(),
    ),
    64: (NONE, set()),
    65: ({"table": {"columns": ["Year", "A"], "rows": [["2020", None], ["2021", 15.0]]}}, set()),
    66: (NONE, set()),
    67: ({"edges": [{"source": "n1", "target": "n2", "label": None}]}, set()),
    68: (
        {
            "nodes": [{"id": "n1", "label": "Yes (1)"}, {"id": "n2", "label": "Yes (2)"}],
            "edges": [],
        },
        {"entries_left_out"},
    ),
    69: ({"kind": "flowchart"}, set()),
    70: ({"verdict": "uncertain"}, {"contradiction"}),
    71: ({"verdict": "defect_seen"}, {"word_unknown"}),
    72: (
        {
            "alt_text": "A tabby cat with green eyes lies on a pink blanket beside two remote "
            "controls on a red couch in a dim living room with a…"
        },
        {"answer_trimmed"},
    ),
    73: ({"tags": ["cat", "tabby", "pet"]}, set()),
    74: ({"alt_text": '"Cat"', "tags": ["cat", "tabby"]}, set()),
    75: ({"steps": [f"step {n}" for n in range(12)], "answer": "3"}, {"answer_trimmed"}),
    76: (
        {"images": [{"index": n, "description": "A cat.", "words_only_here": []} for n in (0, 1)]},
        set(),
    ),
}
BEYOND = {
    **dict.fromkeys((29, 37), "line_items_untrained"),
    **dict.fromkeys((40, 41, 48, 50, 51, 52), "boxes_untrained"),
    **dict.fromkeys((42, 43), "tables_untrained"),
    **dict.fromkeys((62, 63, 65), "chart_values_untrained"),
    **dict.fromkeys((39, 67, 68, 69), "diagrams_untrained"),
    **dict.fromkeys((70, 71), "defects_untrained"),
    76: "differences_untrained",
}
"""Warnings of results that go beyond what the model was measured on."""
ASKED_AGAIN = {2, 18, 21, 22, 23, 28, 46, 47, 49, 56, 60, 61, 64, 66, 68, 70}
"""Answers that lead to a second call: none of them is usable as a whole."""


@pytest.fixture(scope="module")
def script() -> ScriptedVisionModel:
    return ScriptedVisionModel(answers=[""])


@pytest.fixture(scope="module")
def service(script: ScriptedVisionModel) -> Iterator[httpx.Client]:
    with Rig(script).client() as client:
        yield client


def ask(service: httpx.Client, script: ScriptedVisionModel, case: dict[str, Any]) -> Any:
    raw = completion(case["raw"], StopReason(case["stop_reason"]))
    differences = '{"differences": [], "similarities": []}'
    script.answering = lambda request: raw if request.turns[0].images else differences
    images = [ASTRONAUT, ROCKET] if case["task"] == "compare" else [ASTRONAUT]
    body = {**case["parameters"], "images": [b64(image) for image in images]}
    answer = service.post(f"/v1/tasks/{case['task']}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def within(part: Any, whole: Any) -> bool:
    """Whether ``whole`` contains ``part``, object by object."""
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(name in whole and within(part[name], whole[name]) for name in part)
    if isinstance(part, list) and isinstance(whole, list):
        return len(part) == len(whole) and all(map(within, part, whole))
    return bool(part == whole)


@pytest.mark.parametrize("case", ANSWERS, ids=lambda case: f"{case['id']}-{case['kind']}")
def test_a_raw_answer_is_read_unchanged_or_not_at_all(service, script, case):
    expected, warnings = RIGHT[case["id"]]
    body = ask(service, script, case)
    calls = 3 if case["task"] == "compare" else 1

    assert body["valid"] is (expected is not None), body["faults"]
    if expected is not None:
        assert within(expected, {name: body["result"][name] for name in expected})
        beyond = {BEYOND[case["id"]]} if case["id"] in BEYOND else set()
        codes = {warning["code"] for warning in body["warnings"]}
        assert codes - {"contact_sheet"} == warnings | beyond
    assert body["calls"] == calls + (case["id"] in ASKED_AGAIN)
    assert case["raw"] in body["generation"]
    assert body["refused"] is (case["id"] == 1)
