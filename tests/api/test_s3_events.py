"""`POST /events`: files reported by S3 through Lambda's adapter become one caller's batches."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.domain.access import Scope
from app.settings import Settings, SettingsError, load
from tests.support.servers.s3 import REGION, make_bucket, s3_client, s3_server
from tests.support.servers.uvicorn import serving
from tests.support.service.access import add_key, bearer, guarded
from tests.support.service.application import Rig

BUCKET = "events"
ROW = {
    "custom_id": "a",
    "method": "POST",
    "url": "/v1/chat/completions",
    "body": {
        "model": "us.meta.llama3-2-11b-instruct-v1:0",
        "messages": [{"role": "user", "content": "Why?"}],
    },
}


def event(key: str, *, bucket: str = BUCKET, sequencer: str = "0055AED6DCD90281E5") -> Any:
    """Return an event as S3 sends it, with the members that are not used."""
    return {
        "Records": [
            {
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "awsRegion": REGION,
                "eventName": "ObjectCreated:Put",
                "s3": {
                    "s3SchemaVersion": "1.0",
                    "bucket": {"name": bucket, "arn": f"arn:aws:s3:::{bucket}"},
                    "object": {"key": key, "size": 1, "sequencer": sequencer},
                },
            }
        ]
    }


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with s3_server() as url:
        client = s3_client(url)
        make_bucket(client, BUCKET)
        body = json.dumps(ROW).encode() + b"\n"
        client.put_object(Bucket=BUCKET, Key="batches/first rows.jsonl", Body=body)
        client.close()
        yield url


def settings_of(s3: str, data: Path, **more: Any) -> dict[str, Any]:
    return {
        "data_directory": data,
        "files_region": REGION,
        "files_endpoint_url": s3,
        "s3_event_bucket": f"{BUCKET}/batches/",
        **more,
    }


@pytest.fixture(scope="module")
def caller(s3: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, str]]:
    """Yield a client, and a key of the caller whose batches events start."""
    folder = tmp_path_factory.mktemp("events")
    keys = folder / "keys.json"
    key = add_key(keys, Scope.BATCHES, Scope.FILES, Scope.GENERATE)
    owner = json.loads(keys.read_text())[0]["id"]
    rig = guarded(keys, **settings_of(s3, folder, s3_event_caller=owner))
    with serving(rig.app()) as url, httpx.Client(base_url=url, timeout=30) as client:
        yield client, key


def test_a_file_reported_by_s3_becomes_one_batch_of_the_caller(caller):
    client, key = caller

    first = client.post("/events", json=event("batches/first+rows.jsonl"))
    again = client.post("/events", json=event("batches/first+rows.jsonl"))

    assert first.status_code == 200, first.text
    assert first.json() == again.json()
    (name,) = first.json()["batches"]
    batch = client.get(f"/v1/batches/{name}", headers=bearer(key)).json()
    assert batch["endpoint"] == "/v1/chat/completions"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (event("elsewhere/rows.jsonl"), 422),
        (event("batches/rows.jsonl", bucket="others"), 422),
        (event("batches/missing.jsonl"), 404),
        ({"Records": []}, 422),
        ({"detail": {}}, 422),
    ],
)
def test_events_for_other_locations_or_of_other_kinds_are_refused(caller, body, status):
    client, _ = caller

    refusal = client.post("/events", json=body)

    assert refusal.status_code == status, refusal.text
    assert refusal.json()["code"]


def test_without_the_setting_the_path_does_not_exist(tmp_path):
    rig = Rig(settings=Settings(_env_file=None, data_directory=tmp_path))

    with serving(rig.app()) as url:
        assert httpx.post(f"{url}/events", json=event("batches/a")).status_code == 404


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"HOST": "0.0.0.0", "S3_EVENT_BUCKET": "events"}, "needs a loopback host"),
        ({}, "S3_EVENT_BUCKET: is missing"),
    ],
)
def test_the_event_path_requires_a_loopback_host_and_a_bucket(monkeypatch, variables, reason):
    for name, value in {"S3_EVENT_CALLER": "abc", "AUTH": "disabled", **variables}.items():
        monkeypatch.setenv(f"LLAMA_VISION_{name}", value)

    with pytest.raises(SettingsError, match=reason):
        load()


def test_a_body_that_is_too_large_is_pointed_to_direct_uploads(s3, tmp_path):
    settings = Settings(
        _env_file=None,
        **settings_of(
            s3, tmp_path, files_store="s3", files_bucket=f"{BUCKET}/files", max_body_bytes=100_000
        ),
    )
    with serving(Rig(settings=settings).app()) as url:
        refusal = httpx.post(f"{url}/v1/generate", content=b" " * 100_001)
        streamed = httpx.post(f"{url}/v1/generate", content=iter([b" " * 100_001]))

    for answer in (refusal, streamed):
        assert answer.status_code == 413
        assert "POST /v1/uploads" in answer.json()["detail"]
