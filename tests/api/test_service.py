"""Request ids, the model list, health and documentation."""

import re

import pytest

from app.settings import Settings
from tests.support.service.application import Rig


def test_a_valid_request_id_is_echoed(client):
    answer = client.get("/healthz", headers={"x-request-id": "trace-1.a:b_c"})

    assert answer.headers["x-request-id"] == "trace-1.a:b_c"


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "<script>"])
def test_an_invalid_request_id_is_replaced(client, given):
    answer = client.get("/healthz", headers={"x-request-id": given})

    assert re.fullmatch(r"req_[0-9a-f]{32}", answer.headers["x-request-id"])


def test_health_and_readiness_answer(client):
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {
        "status": "ready",
        "model": "us.meta.llama3-2-11b-instruct-v1:0",
        "dialect_reason": "a foundation model of Llama 3.2 takes Llama's own body",
        "targets": [
            {
                "target": "us-west-2/us.meta.llama3-2-11b-instruct-v1:0/invoke",
                "breaker": "closed",
                "active": 0,
                "waiting": 0,
                "model": "unknown",
                "loading_seconds": None,
                "last_starts_seconds": [],
            }
        ],
        "lifecycle": [],
        "outside_residency": [],
    }


def test_the_configured_model_is_listed_with_its_capabilities():
    settings = Settings(
        _env_file=None, model_id="us.meta.llama3-2-90b-instruct-v1:0", dialect="converse"
    )
    with Rig(settings=settings).client() as client:
        (model,) = client.get("/v1/models").json()["data"]

    assert model["id"] == "us.meta.llama3-2-90b-instruct-v1:0"
    assert model["name"] == "Llama 3.2 90B Vision Instruct"
    assert model["kind"] == "inference-profile"
    assert model["dialect"] == "converse"
    assert model["region"] == "us-west-2"
    assert model["languages"]["image"] == ["en"]
    assert len(model["languages"]["text"]) == 8
    assert model["limits"]["max_image_side"] == 1120


def test_swagger_ui_is_served_from_the_services_own_files(client):
    page = client.get("/docs").text

    addresses = re.findall(r"""(?:src|href)=["']([^"']+)""", page)
    assert addresses
    for address in addresses:
        assert address.startswith("/docs/files/")
        assert client.get(address).status_code == 200
    assert client.get("/", follow_redirects=True).text == page
