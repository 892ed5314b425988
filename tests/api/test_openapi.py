"""The OpenAPI document, checked against a running server."""

import asyncio
import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from jsonschema_rs import Draft202012Validator

from app.api.errors.documented import JSON_IMAGE_ERRORS
from tests.support.files.pictures import ASTRONAUT
from tests.support.programs.commands import beside_python
from tests.support.servers.uvicorn import serving
from tests.support.service.application import Rig
from tests.support.service.openapi_document import DOCUMENT, EXPORTED

# Without what a schema can't express: a prompt or an image; a header that is a number.
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_schema_conformance,unsupported_method"
)

OPTIONS = (
    "--checks", CHECKS, "--phases", "examples,coverage,fuzzing",
    # A generated timeout near zero would rightly be answered with 504.
    "--header", "X-Request-Timeout: 60",
    "--max-examples", "50", "--seed", "1", "--no-color",
)  # fmt: skip


@pytest.mark.long
@pytest.mark.timeout(600)
def test_no_generated_request_meets_a_server_error_or_an_undocumented_answer():
    with serving(Rig().app()) as url:
        run = subprocess.run(
            [beside_python("schemathesis"), "run", str(EXPORTED), "--url", url, *OPTIONS],
            capture_output=True,
            text=True,
            timeout=580,
        )

    assert run.returncode == 0, run.stdout[-4000:]


def examples(path: str) -> list[Any]:
    content = DOCUMENT["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    return [example["value"] for example in content["examples"].values()]


@pytest.mark.parametrize(
    ("path", "body"),
    [(path, body) for path in ("/v1/generate", "/v1/images/prepare") for body in examples(path)],
)
def test_the_examples_that_swagger_ui_offers_answer_200_as_they_stand(client, path, body):
    assert client.post(path, json=body).status_code == 200


def test_a_batch_can_be_tried_as_its_description_says(client):
    description = DOCUMENT["paths"]["/v1/batches"]["post"]["description"]
    rows = "\n".join(line.strip() for line in description.split("```")[1].strip().splitlines())
    body = dict(examples("/v1/batches")[0])

    assert client.post("/v1/batches", json=body).status_code == 404
    file = client.post("/v1/files", data={"purpose": "batch"}, files={"file": rows.encode()}).json()
    body["input_file_id"] = file["id"]
    batch = client.post("/v1/batches", json=body).json()
    until = time.monotonic() + 60
    while batch["status"] not in ("completed", "failed"):
        assert time.monotonic() < until, batch
        batch = client.get(f"/v1/batches/{batch['id']}").json()

    assert batch["request_counts"] == {"total": 2, "completed": 2, "failed": 0}, batch["errors"]


def test_the_upload_endpoint_needs_only_a_file(client):
    form = DOCUMENT["components"]["schemas"]["GenerateForm"]

    assert form["properties"]["images"]["items"] == {"type": "string", "format": "binary"}
    assert "required" not in form
    answer = client.post("/v1/generate/upload", files={"images": ("a.png", ASTRONAUT)})
    assert answer.status_code == 200


def error_type(path: str) -> str:
    """Return the media type of errors: OpenAI's are plain JSON."""
    openai = path.startswith(
        (
            "/v1/batches",
            "/v1/chat/",
            "/v1/files",
            "/v1/models",
            "/v1/responses",
            "/v1/uploads",
        )
    )
    return "application/json" if openai else "application/problem+json"


def test_every_operation_has_a_tag_a_summary_and_its_errors():
    for path, operations in DOCUMENT["paths"].items():
        for operation in operations.values():
            assert operation["tags"], path
            assert operation["summary"], path
            assert operation["operationId"], path
            refused = {s: r for s, r in operation["responses"].items() if s >= "4"}
            assert refused, path
            for response in refused.values():
                assert list(response["content"]) == [error_type(path)], path


def test_every_example_of_an_answer_matches_its_schema():
    checked = 0
    for path, operations in DOCUMENT["paths"].items():
        for status, answer in operations.get("post", {}).get("responses", {}).items():
            for content in answer["content"].values():
                schema = {**content["schema"], "components": DOCUMENT["components"]}
                validator = Draft202012Validator(schema)
                for code, example in content.get("examples", {}).items():
                    found = [error.message for error in validator.iter_errors(example["value"])]
                    assert found == [], (path, status, code)
                    checked += 1

    assert checked > 100


def test_chat_completions_documents_exactly_the_errors_it_returns():
    answers = DOCUMENT["paths"]["/v1/chat/completions"]["post"]["responses"]

    assert "400" in answers
    assert "422" not in answers
    assert not {"HTTPValidationError", "ValidationError"} & set(DOCUMENT["components"]["schemas"])


def test_an_estimate_documents_only_the_headers_that_affect_it():
    estimate = DOCUMENT["paths"]["/v1/estimate"]["post"]

    assert [header["name"] for header in estimate["parameters"]] == ["X-Request-Timeout"]
    assert "idempotency_conflict" not in str(estimate["responses"])
    assert "image_source_timeout" in estimate["responses"]["504"]["description"]


def test_a_prepared_picture_is_documented_with_each_media_type():
    answer = DOCUMENT["paths"]["/v1/images/prepare"]["post"]["responses"]["200"]

    assert set(answer["content"]) == {"application/json", "image/jpeg", "image/png"}


def bodies() -> dict[str, Any]:
    """Return the schemas of request bodies by name."""
    operations = [each for methods in DOCUMENT["paths"].values() for each in methods.values()]
    contents = [each.get("requestBody", {}).get("content", {}) for each in operations]
    names = {
        media["schema"]["$ref"].rpartition("/")[2]
        for content in contents
        for media in content.values()
        if "$ref" in media["schema"]
    }
    return {name: DOCUMENT["components"]["schemas"][name] for name in names}


def test_every_field_of_a_request_has_a_type_and_a_description():
    typed = {"type", "anyOf", "oneOf", "const", "enum", "$ref"}
    for name, body in bodies().items():
        assert set(body.get("required", ())) <= body["properties"].keys(), name
        for field, schema in body["properties"].items():
            assert schema.get("description") or "$ref" in schema, f"{name}.{field}"
            assert typed & schema.keys(), f"{name}.{field}"


def test_the_document_is_valid_openapi():
    # Imported here: it takes two seconds in each test process.
    from openapi_spec_validator import validate

    assert DOCUMENT["openapi"].startswith("3.1.")
    validate(DOCUMENT)


def parts(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every object within ``value``."""
    if isinstance(value, dict):
        yield value
        for part in value.values():
            yield from parts(part)
    if isinstance(value, list):
        for part in value:
            yield from parts(part)


def schemas_of(value: Any) -> set[str]:
    """Return the names of the schemas that ``value`` refers to, directly or not."""
    found: set[str] = set()
    left = [value]
    while left:
        for part in parts(left.pop()):
            name = part.get("$ref", "").rpartition("/")[2]
            if name and name not in found:
                found.add(name)
                left.append(DOCUMENT["components"]["schemas"][name])
    return found


def test_operations_that_take_a_picture_by_address_document_why_it_may_be_refused():
    naming = {
        path: json.dumps(operation["responses"])
        for path, operations in DOCUMENT["paths"].items()
        for operation in operations.values()
        if {"ImageUrl", "ChatImageUrl", "ResponsesImagePart"}
        & schemas_of(operation.get("requestBody"))
    }

    assert {"/v1/generate", "/v1/chat/completions", "/v1/responses"} < set(naming)
    for path, responses in naming.items():
        assert [e.code for e in JSON_IMAGE_ERRORS if f"`{e.code}`" not in responses] == [], path


def test_operation_ids_are_unique():
    found = [o["operationId"] for path in DOCUMENT["paths"].values() for o in path.values()]

    assert len(set(found)) == len(found)


def test_answers_and_bodies_in_json_are_named_schemas():
    for part in parts(DOCUMENT["paths"]):
        for media_type in ("application/json", "application/problem+json"):
            if media_type in part:
                assert list(part[media_type]["schema"]) == ["$ref"], part[media_type]["schema"]


def test_every_repeated_object_is_a_named_schema():
    anonymous = [
        json.dumps(schema["properties"], sort_keys=True)
        for name, named in DOCUMENT["components"]["schemas"].items()
        for schema in parts(named)
        if schema is not named and schema.get("type") == "object" and "properties" in schema
    ]

    assert len(set(anonymous)) == len(anonymous)


def test_a_choice_between_objects_has_a_discriminator_or_distinct_required_members():
    schemas = DOCUMENT["components"]["schemas"]
    for name, named in schemas.items():
        for schema in parts(named):
            choices = [part for part in schema.get("oneOf", ()) if "$ref" in part]
            if "discriminator" in schema or len(choices) < 2:
                continue
            chosen = [schemas[choice["$ref"].rpartition("/")[2]] for choice in choices]
            assert all(choice["additionalProperties"] is False for choice in chosen), name
            assert len({tuple(choice["required"]) for choice in chosen}) == len(chosen), name


def runs_a_loop() -> bool:
    """Return whether this thread runs an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def test_the_document_is_built_once_and_off_the_event_loop(monkeypatch):
    app = Rig().app()
    on_loops: list[bool] = []
    made = app.openapi

    def noted() -> Any:
        on_loops.append(runs_a_loop())
        return made()

    monkeypatch.setattr(app, "openapi", noted)
    with serving(app) as url:
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            both = await asyncio.gather(client.get("/openapi.json"), client.get("/openapi.json"))

    assert [answer.json() for answer in both] == [DOCUMENT, DOCUMENT]
    assert on_loops == [False]
