"""Copies of imported models: loaded by a call, removed when idle, counted and billed."""

import json
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from app.emulator.config import EmulatorConfig
from app.emulator.control.plane import ControlPlane
from app.emulator.wire.errors import AwsError
from tests.support.emulator.bodies import chat, imported, messages, replied
from tests.support.emulator.serving import Served, serving

ARN = "arn:aws:bedrock:us-east-1:123456789012:imported-model/abcdefghijkl"


@dataclass
class Rig:
    """A control plane with a clock of its own."""

    config: EmulatorConfig
    now: float = 1_800_000_000.0
    plane: ControlPlane = field(init=False)

    def __post_init__(self) -> None:
        self.plane = ControlPlane(self.config, lambda: self.now)

    def call(self, after: float = 0) -> str:
        """Call the model some seconds later; return whether it was served."""
        self.now += after
        try:
            self.plane.call(ARN)
        except AwsError as error:
            return error.kind.name
        return "served"

    @property
    def status(self) -> dict[str, Any]:
        return self.plane.models.status(self.plane.models.find(ARN))


NOT_READY = "ModelNotReadyException"


def test_a_cold_model_is_not_ready_until_a_copy_is_loaded() -> None:
    rig = Rig(EmulatorConfig(cold_start_seconds=40))
    assert rig.status["state"] == "cold"
    assert [rig.call(), rig.call(20), rig.call(19)] == [NOT_READY] * 3
    assert (rig.status["state"], rig.status["seconds_to_ready"]) == ("loading", 1)
    assert rig.call(1) == "served"
    assert (rig.status["state"], rig.status["copies"], rig.status["cold_starts"]) == ("ready", 1, 1)


def test_a_copy_unused_for_five_minutes_is_removed() -> None:
    rig = Rig(EmulatorConfig(cold_start_seconds=40))
    rig.call()
    assert rig.call(40) == "served"
    assert [rig.call(299), rig.call(299)] == ["served"] * 2
    assert rig.call(300) == NOT_READY
    assert rig.status["cold_starts"] == 2
    assert [rig.call(39), rig.call(1)] == [NOT_READY, "served"]


def test_a_copy_loaded_and_never_used_is_removed_too() -> None:
    rig = Rig(EmulatorConfig(cold_start_seconds=40))
    assert rig.call() == NOT_READY
    rig.now += 40
    assert (rig.status["state"], rig.status["copies"], rig.status["windows"]) == ("ready", 1, 0)
    assert rig.call(301) == NOT_READY
    assert rig.call(40) == "served"


def test_without_cold_starts_every_call_is_served_and_copies_are_counted() -> None:
    rig = Rig(EmulatorConfig())
    assert [rig.call(), rig.call(1000)] == ["served"] * 2
    assert rig.status["copies"] == 1
    rig.now += 300
    assert rig.status["copies"] == 0


def test_billing_windows_of_five_minutes_start_with_the_first_served_call() -> None:
    rig = Rig(EmulatorConfig(cold_start_seconds=40))
    rig.call()
    assert rig.status["windows"] == 0
    rig.call(40)
    assert rig.status["windows"] == 1
    rig.call(299)
    assert rig.status["windows"] == 1
    rig.call(2)
    assert rig.status["windows"] == 2
    # The copy stays, and is billed, for five minutes after the last call.
    rig.now += 10_000
    assert rig.status["windows"] == 3


def test_a_single_call_costs_one_window() -> None:
    rig = Rig(EmulatorConfig())
    rig.call()
    rig.now += 10_000
    assert rig.status["windows"] == 1


def test_the_copy_count_is_reported_minute_by_minute() -> None:
    rig = Rig(EmulatorConfig(), now=1_800_000_000.0)
    rig.call()
    rig.now += 600
    counted = rig.plane.models.copy_count(rig.plane.models.find(ARN))
    assert counted["Label"] == "ModelCopy"
    assert len(counted["Datapoints"]) == 60
    assert {point["Unit"] for point in counted["Datapoints"]} == {"Count"}
    # Loaded in the minute of the call and the four after it, and not since.
    values = [int(point["Average"]) for point in counted["Datapoints"]]
    assert values[-11:] == [1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
    assert counted["Datapoints"][-11]["Timestamp"] == "2027-01-15T08:00:00Z"


def test_an_sdk_sees_a_cold_start_as_a_429_on_every_operation() -> None:
    with serving(EmulatorConfig(cold_start_seconds=600)) as served:
        client = served.client()
        for call, asked in (
            (client.invoke_model, {"body": chat()}),
            (client.invoke_model_with_response_stream, {"body": chat()}),
            (client.converse, {"messages": messages()}),
            (client.converse_stream, {"messages": messages()}),
        ):
            with pytest.raises(ClientError) as caught:
                call(modelId=ARN, **asked)
            assert caught.value.response["Error"]["Code"] == NOT_READY
            assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429


def test_the_admin_endpoint_unloads_and_loads_a_model(emulator: Served, runtime: Any) -> None:
    arn = imported()
    path = f"imported-models/{arn.replace('/', '%2F')}"
    assert replied(runtime, chat(), arn)["choices"]
    state = emulator.admin("POST", path, json={"cold_start_seconds": 600, "state": "cold"})
    assert (state["state"], state["copies"], state["cold_start_seconds"]) == ("cold", 0, 600)
    with pytest.raises(ClientError) as caught:
        runtime.invoke_model(modelId=arn, body=chat())
    assert caught.value.response["Error"]["Code"] == NOT_READY
    assert emulator.admin("POST", path, json={"state": "ready"})["state"] == "ready"
    assert replied(runtime, chat(), arn)["choices"]
    models = {model["arn"]: model for model in emulator.admin("GET", "imported-models")["models"]}
    assert models[arn]["cold_starts"] == 2
    counted = emulator.admin("GET", "metrics/ModelCopy", params={"model_id": arn})
    assert counted["Datapoints"][-1]["Maximum"] == 1.0


@pytest.mark.parametrize(
    "sent",
    [{"state": "warm"}, {"cold_start_seconds": -1}, {"cold_start_seconds": True}, [], {"x": 1}],
)
def test_an_unknown_copy_state_is_refused(emulator: Served, sent: Any) -> None:
    reply = httpx.post(f"{emulator.url}/_emulator/imported-models/llama32vis11", json=sent)
    assert reply.status_code == 400
    assert reply.json()["message"]


def test_a_refused_body_loads_no_copy(runtime: Any, emulator: Served) -> None:
    arn = imported()
    with pytest.raises(ClientError):
        runtime.invoke_model(modelId=arn, body=json.dumps({"messages": []}))
    models = [model["arn"] for model in emulator.admin("GET", "imported-models")["models"]]
    assert arn not in models
