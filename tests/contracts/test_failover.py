"""Each kind of upstream can replace each other kind, plain and streamed."""

import json
from collections.abc import Iterator
from importlib.resources import files
from itertools import permutations
from pathlib import Path

import httpx
import pytest

from app.domain.model import Dialect
from app.settings import Settings
from tests.support.files.pictures import ASTRONAUT, b64
from tests.support.model.dialects import IMPORTED, MODEL_IDS
from tests.support.servers.uvicorn import serving
from tests.support.service.application import Rig

NO_SUCH_MODEL = "us.meta.no-such-model-v1:0"


@pytest.fixture
def other_url(emulator_url) -> Iterator[str]:
    """Serve a second instance of this service with the emulator."""
    settings = Settings(
        _env_file=None, endpoint_url=emulator_url, region="us-east-1", model_id=IMPORTED
    )
    with serving(Rig(model=None, settings=settings).app()) as url:
        yield f"{url}/v1/"


def configured(first: Dialect, second: Dialect, emulator_url: str, other_url: str) -> Settings:
    """Return settings whose first target fails and whose second one answers."""
    named = {"dialect": second.value}
    if second.is_bedrock:
        named["model_id"] = MODEL_IDS[second]
    return Settings(
        _env_file=None,
        endpoint_url=emulator_url,
        region="us-east-1",
        base_model="llama3-2-11b",
        model_id=NO_SUCH_MODEL,
        dialect=first.value,
        fallbacks=[named],
        openai_url=other_url if second is Dialect.OPENAI else "http://127.0.0.1:9/v1",
        openai_model=IMPORTED,
    )


def priced(folder: Path) -> Path:
    """Return a price table with the units of a copy, so that they are not looked up."""
    table = json.loads((files("app.services.usage") / "prices.json").read_text())
    table["custom_model_units"]["units_per_copy"] = {"llama3-2-11b": 2}
    path = folder / "prices.json"
    path.write_text(json.dumps(table))
    return path


@pytest.mark.parametrize(("first", "second"), list(permutations(Dialect, 2)))
def test_if_one_kind_of_target_fails_another_answers(
    emulator_url, other_url, first, second, tmp_path: Path
):
    settings = configured(first, second, emulator_url, other_url)
    settings = settings.model_copy(update={"prices_file": priced(tmp_path)})
    body = {"prompt": "What size?", "images": [b64(ASTRONAUT)], "temperature": 0}
    with Rig(model=None, settings=settings).client() as client:
        whole = client.post("/v1/generate", json=body)
        streamed = client.post("/v1/generate", json={**body, "stream": True})

    assert whole.status_code == 200, whole.text
    assert whole.json()["target"]["dialect"] == second
    assert "512x512" in whole.json()["generation"]
    assert "event: done" in streamed.text
    assert f'"dialect":"{second.value}"' in streamed.text
    # The price of the answering target: by tokens, by units, or unknown.
    basis = {Dialect.CHAT: "units", Dialect.OPENAI: None}.get(second, "tokens")
    assert (whole.json()["cost_usd"] or {"basis": None})["basis"] == basis


@pytest.mark.parametrize("kind", Dialect)
def test_a_request_is_limited_to_what_all_kinds_of_target_accept(emulator_url, other_url, kind):
    settings = configured(Dialect.CHAT, kind, emulator_url, other_url)
    with Rig(model=None, settings=settings).client() as client:
        (model,) = client.get("/v1/models").json()["data"]

    assert model["limits"]["max_images"] == (3 if kind in (Dialect.CHAT, Dialect.OPENAI) else 1)


def test_readiness_names_each_kind_of_target(emulator_url, other_url) -> None:
    settings = configured(Dialect.CHAT, Dialect.OPENAI, emulator_url, other_url)
    with Rig(model=None, settings=settings).client() as client:
        ready: httpx.Response = client.get("/readyz")

    assert [target["target"].rsplit("/")[-1] for target in ready.json()["targets"]] == [
        "chat", "openai",
    ]  # fmt: skip
    assert ready.json()["dialect_reason"] == "the setting names it"
