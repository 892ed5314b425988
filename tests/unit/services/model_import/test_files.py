"""Checks of a folder of weights before an import."""

import json
from typing import Any

import pytest

from app.domain.finding import Finding, Level, worst
from app.services.model_import.files import DOCUMENTS, MAX_BYTES, ModelFiles, check
from tests.support.model.files import CONFIG, model_files

WHOLE = 21 * 10**9


def files(
    changes: dict[str, str | None] | None = None, sizes: dict[str, int] | None = None
) -> ModelFiles:
    """Return a valid folder with ``changes``: other texts, or None for a missing file."""
    texts = {**model_files(), **(changes or {})}
    there = {name: text for name, text in texts.items() if text is not None}
    documents: dict[str, Any] = {}
    for name in DOCUMENTS:
        if name in there:
            try:
                documents[name] = json.loads(there[name]) if name.endswith("json") else there[name]
            except ValueError:
                documents[name] = None
    lengths = {name: len(text) for name, text in there.items()}
    lengths |= {name: WHOLE // 2 for name in there if name.endswith(".safetensors")}
    return ModelFiles(lengths | (sizes or {}), documents)


def config(**changes: Any) -> dict[str, str | None]:
    return {"config.json": json.dumps({**CONFIG, **changes})}


def bad(checked: tuple[Finding, ...]) -> list[tuple[Level, str]]:
    return [(finding.level, finding.subject) for finding in checked if finding.level > Level.OK]


def test_a_valid_folder_has_no_problems():
    assert bad(check(files())) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"config.json": None}, (Level.FAULT, "config.json")),
        ({"config.json": "version https://git-lfs"}, (Level.FAULT, "config.json")),
        (config(architectures=["LlamaForCausalLM"]), (Level.FAULT, "config.json")),
        ({"model-00002-of-00002.safetensors": None}, (Level.FAULT, "weights")),
        ({"model.safetensors.index.json": None}, (Level.FAULT, "model.safetensors.index.json")),
        ({"model.safetensors.index.json": "{}"}, (Level.FAULT, "model.safetensors.index.json")),
        ({"tokenizer.json": None}, (Level.FAULT, "tokenizer.json")),
        ({"preprocessor_config.json": None}, (Level.FAULT, "preprocessor_config.json")),
        ({"tokenizer_config.json": '{"a": 1}'}, (Level.FAULT, "chat template")),
        ({"chat_template.jinja": "another"}, (Level.FAULT, "chat template")),
        ({"chat_template.jinja": "{{ messages }}"}, (Level.WARNING, "chat template")),
        (config(quantization_config={"bits": 4}), (Level.FAULT, "dtype")),
        (config(torch_dtype="float64"), (Level.WARNING, "dtype")),
        (config(transformers_version="4.57.0"), (Level.WARNING, "transformers")),
        (
            config(text_config={"num_hidden_layers": 40, "max_position_embeddings": 131_072}),
            (Level.WARNING, "context"),
        ),
    ],
)
def test_each_problem_is_named_with_its_fix(changes, expected):
    checked = check(files(changes))

    # A missing file also makes the folder too small.
    assert [found for found in bad(checked) if found != (Level.WARNING, "size")] == [expected]
    finding = next(finding for finding in checked if finding.level > Level.OK)
    assert finding.mend or finding.subject == "transformers"


def test_truncated_weights_and_oversized_folders_are_reported():
    name = "model-00001-of-00002.safetensors"

    assert bad(check(files(sizes={name: 10}))) == [(Level.WARNING, "size")]
    assert bad(check(files(sizes={name: MAX_BYTES}))) == [(Level.FAULT, "size")]


def test_an_empty_prefix_is_a_single_problem():
    assert worst(check(ModelFiles({}))) is Level.FAULT
    assert len(check(ModelFiles({}))) == 1
