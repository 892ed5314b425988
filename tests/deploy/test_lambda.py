"""The service as AWS Lambda's adapter meets it, with the image's and the template's settings.

The adapter's program and Lambda itself are not here. The test plays the adapter's part: it looks
whether the service is ready, forwards requests and events as HTTP, and sends SIGTERM.
"""

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fixtures.images import encoded, photo
from fixtures.process import ROOT, Running, free_port, running
from tests.support.clients.sse import events
from tests.support.emulator.serving import serving as emulating
from tests.support.repository.templates import DOCKERFILE, loaded
from tests.support.servers.s3 import REGION, make_bucket, s3_client, s3_server
from tests.support.service.access import add_key, bearer

TEMPLATE = loaded(ROOT / "deploy" / "aws" / "lambda" / "template.yaml")
MODEL = "us.meta.llama3-2-11b-instruct-v1:0"
IMAGE = re.search(
    r"^FROM runtime AS lambda\n.*?(?=^FROM)", DOCKERFILE.read_text(), re.MULTILINE | re.DOTALL
)
ROW = {
    "custom_id": "a",
    "method": "POST",
    "url": "/v1/chat/completions",
    "body": {"model": MODEL, "messages": [{"role": "user", "content": "Why?"}]},
}


def image_variables() -> dict[str, str]:
    assert IMAGE is not None
    return dict(re.findall(r"\b([A-Z][A-Z_]+)=(\S+)", IMAGE[0]))


def variables(**known: str) -> dict[str, str]:
    """Return the event function's environment, without PostgreSQL and Redis."""
    batches = TEMPLATE["Resources"]["BatchEvents"]["Properties"]["Environment"]["Variables"]
    chosen = {**TEMPLATE["Globals"]["Function"]["Environment"]["Variables"], **batches}
    plain = {}
    for name, value in chosen.items():
        one = value["Fn::If"][2] if "Fn::If" in value else value
        if isinstance(one, str):
            plain[name] = one
    return {**image_variables(), **plain, **known}


@pytest.fixture(scope="module")
def function(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, str, str]]:
    """Yield a process, its URL and a key of the caller whose batches events start."""
    folder = tmp_path_factory.mktemp("function")
    keys: Path = folder / "keys.json"
    key = add_key(keys)
    with s3_server() as s3, emulating() as emulator:
        client = s3_client(s3)
        make_bucket(client, "lambda-files")
        client.put_object(
            Bucket="lambda-files", Key="batches/rows.jsonl", Body=json.dumps(ROW).encode()
        )
        client.close()
        environment = variables(
            LLAMA_VISION_PORT=str(free_port()),
            LLAMA_VISION_REGION=REGION,
            LLAMA_VISION_MODEL_ID=MODEL,
            LLAMA_VISION_KEYS=keys.read_text(),
            LLAMA_VISION_ENDPOINT_URL=emulator.url,
            LLAMA_VISION_FILES_BUCKET="lambda-files/files",
            LLAMA_VISION_FILES_REGION=REGION,
            LLAMA_VISION_FILES_ENDPOINT_URL=s3,
            LLAMA_VISION_S3_EVENT_CALLER=json.loads(keys.read_text())[0]["id"],
            LLAMA_VISION_S3_EVENT_BUCKET="lambda-files/batches/",
            LLAMA_VISION_S3_EVENT_ENGINE="own",
            # Lambda's only writable folder, replaced by one of the test's own.
            LLAMA_VISION_USAGE_FILE=str(folder / "usage.sqlite3"),
            LLAMA_VISION_DATA_DIRECTORY=str(folder / "data"),
        )
        with running("app", "serve", environment=environment) as process:
            yield process, process.url, key


def test_the_path_polled_by_the_adapter_reports_readiness(function):
    _, url, _ = function
    adapter = image_variables()

    ready = httpx.get(url + adapter["AWS_LWA_READINESS_CHECK_PATH"])

    assert str(ready.status_code) == adapter["AWS_LWA_READINESS_CHECK_HEALTHY_STATUS"]
    assert adapter["AWS_LWA_PORT"] == adapter["LLAMA_VISION_PORT"]


def children(pid: int) -> list[str]:
    """Return the child processes of all threads of ``pid``."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return [child for thread in threads for child in (thread / "children").read_text().split()]


def test_the_decoder_starts_with_the_first_picture_and_not_with_the_function(function):
    process, url, key = function
    before = children(process.process.pid)

    answer = httpx.post(
        f"{url}/v1/generate/upload",
        files={"images": encoded(photo(300, 200), "WEBP")},
        headers=bearer(key),
        timeout=60,
    )

    assert not before
    assert answer.status_code == 200, answer.text
    assert children(process.process.pid)


def test_an_answer_streams_to_the_adapter(function):
    _, url, key = function

    answer = httpx.post(
        f"{url}/v1/generate",
        json={"prompt": "Why?", "stream": True},
        headers=bearer(key),
        timeout=60,
    )

    assert answer.status_code == 200, answer.text
    assert "content-length" not in answer.headers
    assert [name for name, _ in events(answer)][-1] == "done"
    assert variables()["AWS_LWA_INVOKE_MODE"] == "response_stream"


def test_an_s3_event_on_the_pass_through_path_starts_a_batch(function):
    _, url, key = function
    record: Any = {
        "s3": {
            "bucket": {"name": "lambda-files"},
            "object": {"key": "batches/rows.jsonl", "sequencer": "0055AED6DCD90281E5"},
        }
    }

    taken = httpx.post(
        url + variables()["AWS_LWA_PASS_THROUGH_PATH"], json={"Records": [record]}, timeout=60
    )

    assert taken.status_code == 200, taken.text
    (name,) = taken.json()["batches"]
    assert httpx.get(f"{url}/v1/batches/{name}", headers=bearer(key)).status_code == 200


def test_an_answer_too_large_for_lambda_is_refused_pointing_to_s3(function):
    _, url, key = function
    most = int(variables()["LLAMA_VISION_MAX_BODY_BYTES"])

    refusal = httpx.post(f"{url}/v1/generate", content=b" " * (most + 1), headers=bearer(key))
    upload = httpx.post(
        f"{url}/v1/uploads",
        json={
            "filename": "a.jpg",
            "purpose": "vision",
            "bytes": 12_000_000,
            "mime_type": "image/jpeg",
        },
        headers=bearer(key),
    )

    # Lambda accepts 6 MiB with its own envelope, which encodes a form as Base64.
    assert most * 4 / 3 + 16_384 < 6 * 2**20
    assert refusal.status_code == 413
    assert "POST /v1/uploads" in refusal.json()["detail"]
    assert upload.status_code == 200, upload.text


def test_only_s3_may_invoke_the_function_that_takes_events():
    resources = TEMPLATE["Resources"]
    (url,) = [one for one in resources.values() if one["Type"] == "AWS::Lambda::Url"]

    assert url["Properties"]["TargetFunctionArn"] == {"Fn::GetAtt": "Service.Arn"}
    permissions = [
        one["Properties"]["Principal"]
        for one in resources.values()
        if one["Type"] == "AWS::Lambda::Permission"
        and one["Properties"]["FunctionName"] == {"Ref": "BatchEvents"}
    ]
    assert permissions == ["s3.amazonaws.com"]


def test_at_sigterm_the_process_exits_cleanly(function):
    process, _, _ = function

    process.process.send_signal(signal.SIGTERM)

    assert process.process.wait(timeout=20) == 0


def test_the_process_exits_before_lambda_kills_it():
    seconds = [float(variables()[f"LLAMA_VISION_SHUTDOWN_{name}"]) for name in ("GRACE", "IDLE")]

    assert max(seconds) < 2
