"""A model's lifecycle on Bedrock: active, legacy, retired, imported."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from app.emulator.config import EmulatorConfig
from app.emulator.control.foundation_models import FoundationModels
from tests.support.emulator.bodies import BARE, MODEL, imported, messages
from tests.support.emulator.serving import serving

TODAY = datetime.now(tz=UTC).date()


def not_found(client: Any, model_id: str) -> str:
    with pytest.raises(client.exceptions.ResourceNotFoundException) as caught:
        client.converse(modelId=model_id, messages=messages())
    return str(caught.value.response["Error"]["Message"])


def test_by_default_the_11b_model_is_served_as_before_its_end_of_life(runtime: Any) -> None:
    assert runtime.converse(modelId=MODEL, messages=messages())["stopReason"] == "end_turn"


def test_from_its_end_of_life_on_a_model_is_gone() -> None:
    with serving(EmulatorConfig(end_of_life={BARE: TODAY - timedelta(days=1)})) as served:
        client = served.client()
        told = not_found(client, MODEL)
        arn = f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/{MODEL}"
        assert not_found(client, arn) == told
        other = "us.meta.llama3-2-90b-instruct-v1:0"
        assert client.converse(modelId=other, messages=messages())["stopReason"] == "end_turn"
        # The same weights stay available when imported.
        assert client.converse(modelId=imported(), messages=messages())["stopReason"] == "end_turn"
    assert "reached the end of its life" in told


def test_until_its_end_of_life_a_model_is_served_and_called_legacy() -> None:
    with serving(EmulatorConfig(end_of_life={BARE: TODAY + timedelta(days=30)})) as served:
        reply = served.client().converse(modelId=MODEL, messages=messages())
        control = served.client("bedrock")
        details = control.get_foundation_model(modelIdentifier=BARE)["modelDetails"]
    assert reply["stopReason"] == "end_turn"
    assert details["modelLifecycle"]["status"] == "LEGACY"


@pytest.mark.parametrize(
    ("today", "status"), [(date(2026, 1, 6), "ACTIVE"), (date(2026, 1, 7), "LEGACY")]
)
def test_a_model_is_legacy_for_its_last_half_year(today: date, status: str) -> None:
    config = EmulatorConfig(end_of_life={BARE: date(2026, 7, 7)})
    lifecycle = FoundationModels(config, lambda: today).model(BARE)["modelDetails"]
    assert lifecycle["modelLifecycle"] == {
        "status": status,
        "startOfLifeTime": "2024-09-25T00:00:00Z",
        "legacyTime": "2026-01-07T00:00:00Z",
        "publicExtendedAccessTime": "2026-04-08T00:00:00Z",
        "endOfLifeTime": "2026-07-07T00:00:00Z",
    }


@pytest.mark.parametrize(
    ("fault", "told"),
    [("retired", "has reached the end of its life"), ("legacy", "marked by provider as Legacy")],
)
def test_a_model_id_can_request_the_end_of_life(runtime: Any, fault: str, told: str) -> None:
    assert told in not_found(runtime, f"{MODEL}.{fault}")


def test_an_imported_model_loads_for_n_calls_and_then_serves(runtime: Any) -> None:
    model_id = f"{imported()}.loading-2"
    codes = []
    for _ in range(3):
        try:
            runtime.converse(modelId=model_id, messages=messages())
            codes.append("served")
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            codes.append(f"{error.response['Error']['Code']} {status}")
    assert codes == ["ModelNotReadyException 429"] * 2 + ["served"]
