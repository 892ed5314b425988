"""``python -m app warm``, and a service whose model is scaled to zero."""

import asyncio
import base64
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from app.__main__ import main
from app.emulator.app import create_emulator
from app.emulator.config import EmulatorConfig
from app.emulator.control.request_log import ANSWERED
from app.settings import PREFIX, Settings
from app.wiring.services import open_services
from tests.support.clients.metrics import value
from tests.support.files.pictures import ASTRONAUT
from tests.support.servers.uvicorn import serving
from tests.support.service.application import Rig

MODEL = "arn:aws:bedrock:us-west-2:123456789012:imported-model/llama32vis11"
COLD_SECONDS = 2


@pytest.fixture
def emulator_url() -> Iterator[str]:
    config = EmulatorConfig(region="us-west-2", cold_start_seconds=COLD_SECONDS)
    with serving(create_emulator(config)) as url:
        yield url


@pytest.fixture
def client(emulator_url: str) -> Iterator[httpx.Client]:
    settings = Settings(
        _env_file=None, endpoint_url=emulator_url, model_id=MODEL, request_timeout=1
    )
    with Rig(model=None, settings=settings).client() as client:
        yield client


def test_the_command_waits_until_the_model_answers(emulator_url, monkeypatch, capsys):
    monkeypatch.setenv(f"{PREFIX}ENDPOINT_URL", emulator_url)
    monkeypatch.setenv(f"{PREFIX}MODEL_ID", MODEL)

    assert main(["warm"]) == 0
    assert "The model answers; it took" in capsys.readouterr().out


def test_the_command_gives_up_after_its_timeout(emulator_url, monkeypatch, capsys):
    monkeypatch.setenv(f"{PREFIX}ENDPOINT_URL", emulator_url)
    monkeypatch.setenv(f"{PREFIX}MODEL_ID", MODEL)

    assert main(["warm", "--timeout", "0"]) == 1
    assert "does not answer" in capsys.readouterr().err


def test_a_client_with_less_time_than_a_start_takes_is_refused_with_retry_after(client):
    answer = client.post("/v1/generate", json={"prompt": "Hi"})

    body = answer.json()
    assert (answer.status_code, body["code"], body["retryable"]) == (503, "model_loading", True)
    assert "scaled to zero" in body["detail"]
    assert int(answer.headers["retry-after"]) >= 5


CHAT = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}
TURN = {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}
IMAGE = base64.b64encode(ASTRONAUT).decode()
DOORS: dict[str, tuple[str, dict[str, Any]]] = {
    "generate": ("/v1/generate", {"prompt": "Hi"}),
    "stream": ("/v1/generate", {"prompt": "Hi", "stream": True}),
    "task": ("/v1/tasks/caption", {"images": [IMAGE]}),
    "chat": ("/v1/chat/completions", CHAT),
    "chat stream": ("/v1/chat/completions", {**CHAT, "stream": True}),
    "Converse": (f"/model/{MODEL}/converse", TURN),
    "ConverseStream": (f"/model/{MODEL}/converse-stream", TURN),
}


@pytest.mark.parametrize("door", DOORS)
def test_a_cold_start_is_reported_and_waited_for_in_every_dialect(client, door):
    path, body = DOORS[door]
    refused = client.post(path, json=body)
    answered = client.post(path, json=body, headers={"X-Request-Timeout": "60"})

    # Bedrock's own status, as its SDK expects it.
    assert refused.status_code == (429 if path.startswith("/model/") else 503), refused.text
    assert "model_loading" in refused.text
    assert "scaled to zero" in refused.text
    assert int(refused.headers["retry-after"]) >= 5
    assert answered.status_code == 200, answered.text


def test_a_client_with_more_time_gets_its_answer(client):
    answer = client.post("/v1/generate", json={"prompt": "Hi"}, headers={"X-Request-Timeout": "60"})

    assert answer.status_code == 200, answer.text
    assert answer.json()["cost_usd"]["basis"] == "units"
    assert answer.json()["cost_usd"]["window"]["cost"] == pytest.approx(0.785)


def test_readiness_and_metrics_distinguish_a_start_from_a_failure(client):
    client.post("/v1/generate", json={"prompt": "Hi"})
    (loading,) = client.get("/readyz").json()["targets"]
    client.post("/v1/generate", json={"prompt": "Hi"}, headers={"X-Request-Timeout": "60"})
    (warm,) = client.get("/readyz").json()["targets"]

    assert (loading["model"], loading["breaker"]) == ("loading", "closed")
    assert (warm["model"], warm["loading_seconds"]) == ("warm", None)
    assert len(warm["last_starts_seconds"]) == 1
    metrics = client.get("/metrics").text
    target = warm["target"]
    assert value(metrics, "llama_vision_cold_start_seconds_count", target=target) == 1
    assert value(metrics, "llama_vision_billing_windows_total", target=target) == 1


async def test_a_model_kept_warm_is_called_without_requests(emulator_url):
    settings = Settings(_env_file=None, endpoint_url=emulator_url, model_id=MODEL, keep_warm=0.1)
    async with open_services(settings), httpx.AsyncClient(base_url=emulator_url) as http:
        for _ in range(600):
            if await answered(http):
                return
            await asyncio.sleep(0.1)
    pytest.fail("no call was made")


async def answered(http: httpx.AsyncClient) -> bool:
    calls = (await http.get("/_emulator/requests")).json()["requests"]
    return any(call["outcome"] == ANSWERED for call in calls)
