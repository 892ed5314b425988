"""Imported models on the control plane: jobs, models, units and failures."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from app.emulator.config import EmulatorConfig
from app.emulator.control.import_jobs import FAILURES, MOST_RUNNING
from app.emulator.control.plane import ControlPlane
from tests.support.emulator.bodies import chat, imported, messages, replied
from tests.support.emulator.serving import Served, serving

ROLE = "arn:aws:iam::123456789012:role/imports"
KEY = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"


def job(name: str, source: str = "s3://weights/llama/", **more: Any) -> dict[str, Any]:
    """Return the arguments of CreateModelImportJob."""
    return {
        "jobName": f"{name}-job",
        "importedModelName": name,
        "roleArn": ROLE,
        "modelDataSource": {"s3DataSource": {"s3Uri": source}},
        **more,
    }


def refusal(call: Callable[..., Any], **arguments: Any) -> tuple[int, str]:
    """Return status and code of a call that is refused."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    response = caught.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def ended(control: Any, arn: str) -> dict[str, Any]:
    """Return a job once it has ended."""
    end = time.monotonic() + 60
    while True:
        found: dict[str, Any] = control.get_model_import_job(jobIdentifier=arn)
        if found["status"] != "InProgress" or time.monotonic() > end:
            return found
        time.sleep(0.05)


@pytest.fixture
def control() -> Any:
    """Return a client of an emulator whose jobs end at once."""
    with serving(EmulatorConfig(import_seconds=0, imported_models={})) as served:
        yield served.client("bedrock")


def test_an_import_becomes_a_model_that_answers() -> None:
    with serving(EmulatorConfig(import_seconds=0.5)) as served:
        control, runtime = served.client("bedrock"), served.client()
        created = control.create_model_import_job(**job("llama", importedModelKmsKeyId=KEY))
        assert created["ResponseMetadata"]["HTTPStatusCode"] == 201
        running = control.get_model_import_job(jobIdentifier=created["jobArn"])
        assert running["status"] == "InProgress"
        assert running.keys().isdisjoint({"importedModelArn", "endTime", "failureMessage"})
        assert "llama" not in [m["modelName"] for m in listed(control)]
        done = ended(control, created["jobArn"])
        assert done["status"] == "Completed"
        assert done["endTime"] >= done["creationTime"]
        model = control.get_imported_model(modelIdentifier=done["importedModelArn"])
        assert replied(runtime, chat(), model["modelArn"])["choices"]
    assert model["modelName"] == "llama"
    assert model["jobArn"] == created["jobArn"]
    assert model["modelArchitecture"] == "MllamaForConditionalGeneration"
    assert model["instructSupported"] is True
    assert model["modelKmsKeyArn"] == KEY
    assert model["modelDataSource"]["s3DataSource"]["s3Uri"] == "s3://weights/llama/"


def listed(control: Any, **wanted: Any) -> list[dict[str, Any]]:
    """Return the summaries of imported models."""
    summaries: list[dict[str, Any]] = control.list_imported_models(**wanted)["modelSummaries"]
    return summaries


@pytest.mark.parametrize("failure", FAILURES)
def test_an_s3_prefix_can_name_how_its_import_fails(control: Any, failure: str) -> None:
    arn = control.create_model_import_job(**job("llama", f"s3://weights/{failure}/"))["jobArn"]
    done = control.get_model_import_job(jobIdentifier=arn)
    assert (done["status"], done["failureMessage"]) == ("Failed", FAILURES[failure])
    assert "importedModelArn" not in done
    assert listed(control) == []
    assert control.create_model_import_job(**job("llama", jobName="again"))["jobArn"] != arn


def test_a_job_is_found_by_arn_id_and_name(control: Any) -> None:
    arn = control.create_model_import_job(**job("llama"))["jobArn"]
    for identifier in (arn, "llama-job"):
        assert control.get_model_import_job(jobIdentifier=identifier)["jobArn"] == arn
    status = refusal(control.get_model_import_job, jobIdentifier="nothing")
    assert status == (404, "ResourceNotFoundException")


def test_the_same_request_token_is_the_same_job(control: Any) -> None:
    asked = job("llama", clientRequestToken="once-and-only-once")
    arn = control.create_model_import_job(**asked)["jobArn"]
    assert control.create_model_import_job(**asked)["jobArn"] == arn
    other = {**asked, "jobName": "other"}
    assert refusal(control.create_model_import_job, **other) == (400, "ConflictException")


@pytest.mark.parametrize("more", [{"jobName": "other"}, {"importedModelName": "other"}])
def test_a_duplicate_job_or_model_name_is_refused(control: Any, more: dict[str, str]) -> None:
    control.create_model_import_job(**job("llama"))
    again = {**job("llama"), **more}
    assert refusal(control.create_model_import_job, **again) == (400, "ConflictException")


@pytest.mark.parametrize(
    "wrong",
    [
        {"jobName": "-"},
        {"importedModelName": "a b"},
        {"roleArn": "arn:aws:iam::1:user/me"},
        {"importedModelKmsKeyId": "no key"},
        {"modelDataSource": {"s3DataSource": {"s3Uri": "https://weights"}}},
        {"clientRequestToken": "!"},
    ],
)
def test_a_member_that_violates_its_pattern_is_refused(control: Any, wrong: dict[str, Any]) -> None:
    status = refusal(control.create_model_import_job, **{**job("llama"), **wrong})
    assert status == (400, "ValidationException")


def test_too_many_concurrent_jobs_exceed_the_quota() -> None:
    with serving(EmulatorConfig(import_seconds=600)) as served:
        control = served.client("bedrock")
        for number in range(MOST_RUNNING):
            control.create_model_import_job(**job(f"llama{number}"))
        status = refusal(control.create_model_import_job, **job("one-more"))
    assert status == (400, "ServiceQuotaExceededException")


def test_jobs_are_listed_by_status_name_and_page(control: Any) -> None:
    for name, source in (
        ("a1", "s3://weights/x"),
        ("a2", "s3://weights/no-config"),
        ("b1", "s3://weights/x"),
    ):
        control.create_model_import_job(**job(name, source))

    def names(**wanted: Any) -> set[str]:
        found = control.list_model_import_jobs(**wanted)["modelImportJobSummaries"]
        return {summary["importedModelName"] for summary in found}

    assert names() == {"a1", "a2", "b1"}
    assert names(statusEquals="Failed") == {"a2"}
    assert names(nameContains="a") == {"a1", "a2"}
    assert names(creationTimeBefore=0) == set()
    first = control.list_model_import_jobs(maxResults=2)
    second = control.list_model_import_jobs(maxResults=2, nextToken=first["nextToken"])
    pages = [first["modelImportJobSummaries"], second["modelImportJobSummaries"]]
    assert [len(page) for page in pages] == [2, 1]
    assert "nextToken" not in second
    status = refusal(control.list_model_import_jobs, nextToken="nonsense")
    assert status == (400, "ValidationException")


def test_models_are_listed_newest_first_and_by_page(control: Any) -> None:
    for name in ("one", "two", "three"):
        control.create_model_import_job(**job(name))
    pages = control.get_paginator("list_imported_models").paginate(PaginationConfig={"PageSize": 2})
    names = [model["modelName"] for page in pages for model in page["modelSummaries"]]
    assert sorted(names) == ["one", "three", "two"]
    times = [model["creationTime"] for model in listed(control)]
    assert times == sorted(times, reverse=True)
    assert [m["modelName"] for m in listed(control, nameContains="w")] == ["two"]


def test_a_deleted_model_stays_deleted(emulator: Served, runtime: Any) -> None:
    control, arn = emulator.client("bedrock"), imported()
    assert runtime.converse(modelId=arn, messages=messages())["stopReason"] == "end_turn"
    control.delete_imported_model(modelIdentifier=arn)
    gone = (404, "ResourceNotFoundException")
    assert refusal(runtime.converse, modelId=arn, messages=messages()) == gone
    assert refusal(runtime.invoke_model, modelId=arn, body=chat()) == gone
    assert refusal(control.get_imported_model, modelIdentifier=arn) == gone
    assert refusal(control.delete_imported_model, modelIdentifier=arn) == gone


def test_one_imported_model_exists_from_the_start(emulator: Served, runtime: Any) -> None:
    control = emulator.client("bedrock")
    model = control.get_imported_model(modelIdentifier="llama-3-2-11b-vision")
    assert model["modelArn"].endswith(":imported-model/llama32vis11")
    assert replied(runtime, chat(), model["modelArn"])["choices"]


def test_an_unknown_imported_model_arn_is_served_unless_imports_are_listed(
    emulator: Served,
) -> None:
    arn = imported()
    found = emulator.client("bedrock").get_imported_model(modelIdentifier=f"{arn}.throttle")
    assert found["modelArn"] == arn
    with serving(EmulatorConfig(listed_imports_only=True)) as served:
        status = refusal(served.client().invoke_model, modelId=arn, body=chat())
    assert status == (404, "ResourceNotFoundException")


def test_the_units_of_a_copy_are_configured() -> None:
    with serving(EmulatorConfig(custom_model_units=4)) as served:
        found = served.client("bedrock").get_imported_model(modelIdentifier="llama-3-2-11b-vision")
    assert found["customModelUnits"] == {
        "customModelUnitsPerModelCopy": 4,
        "customModelUnitsVersion": "v1.0",
    }


@pytest.mark.parametrize("fault", ["throttle", "denied", "internal"])
def test_the_control_planes_faults_can_be_installed_by_operation(
    emulator: Served, fault: str
) -> None:
    installed = {"fault": fault, "operation": "ListImportedModels"}
    number = emulator.admin("POST", "faults", json=installed)["number"]
    try:
        with pytest.raises(ClientError):
            listed(emulator.client("bedrock"))
    finally:
        emulator.admin("DELETE", f"faults/{number}")


def test_the_number_of_made_up_models_is_bounded() -> None:
    plane = ControlPlane(EmulatorConfig(), lambda: 0.0)
    for number in range(10_050):
        plane.call(f"arn:aws:bedrock:us-east-1:123456789012:imported-model/m{number}")
    assert len(plane.models.all()) == 10_000
