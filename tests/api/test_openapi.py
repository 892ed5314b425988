"""The OpenAPI document, held against a running server."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.app import Rig
from tests.support.commands import beside_python
from tests.support.pictures import ASTRONAUT
from tests.support.server import serving

EXPORTED = Path(__file__).parents[2] / "openapi" / "openapi.json"
DOCUMENT: dict[str, Any] = json.loads(EXPORTED.read_text())

# Left out: what the schema can't say (a prompt or an image; a header that is a number).
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_schema_conformance,unsupported_method"
)

OPTIONS = (
    "--checks", CHECKS, "--phases", "examples,coverage,fuzzing",
    # Else a generated deadline of no time at all is rightly answered with 504.
    "--header", "X-Request-Timeout: 60",
    "--max-examples", "50", "--seed", "1", "--no-color",
)  # fmt: skip


@pytest.mark.timeout(300)
def test_no_generated_request_meets_a_server_error_or_an_undocumented_answer():
    with serving(Rig().app()) as url:
        run = subprocess.run(
            [beside_python("schemathesis"), "run", str(EXPORTED), "--url", url, *OPTIONS],
            capture_output=True,
            text=True,
            timeout=280,
        )

    assert run.returncode == 0, run.stdout[-4000:]


def examples(path: str) -> list[Any]:
    content = DOCUMENT["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    return [example["value"] for example in content["examples"].values()]


@pytest.mark.parametrize("body", examples("/v1/generate"))
def test_the_examples_that_swagger_ui_offers_answer_200_as_they_stand(client, body):
    assert client.post("/v1/generate", json=body).status_code == 200


def test_the_upload_endpoint_needs_only_a_file(client):
    form = DOCUMENT["components"]["schemas"]["GenerateForm"]

    assert form["properties"]["images"]["items"] == {"type": "string", "format": "binary"}
    assert "required" not in form
    answer = client.post("/v1/generate/upload", files={"images": ("a.png", ASTRONAUT)})
    assert answer.status_code == 200


def error_type(path: str) -> str:
    """Return the media type of errors: OpenAI's form is plain JSON."""
    return "application/json" if path.startswith("/v1/chat/") else "application/problem+json"


def test_every_operation_is_tagged_summarised_and_says_which_errors_it_answers():
    for path, operations in DOCUMENT["paths"].items():
        for operation in operations.values():
            assert operation["tags"], path
            assert operation["summary"], path
            assert operation["operationId"], path
            refused = {s: r for s, r in operation["responses"].items() if s >= "4"}
            assert refused, path
            for response in refused.values():
                assert list(response["content"]) == [error_type(path)], path


def test_every_field_of_a_request_is_described():
    for name in ("GenerateIn", "GenerateForm"):
        for field, schema in DOCUMENT["components"]["schemas"][name]["properties"].items():
            assert schema.get("description"), f"{name}.{field}"
