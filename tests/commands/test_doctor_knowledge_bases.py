"""``python -m app doctor`` queries each knowledge base once and reports failures."""

import json
from collections.abc import Iterator

import pytest

from app.__main__ import main
from app.emulator.app import create_emulator
from app.emulator.config import EmulatorConfig
from app.settings import PREFIX
from tests.support.servers.uvicorn import serving

MODEL = "arn:aws:bedrock:us-west-2:123456789012:imported-model/llama32vis11"
BASES = {
    "sample": {"id": "SAMPLEKB01"},
    "gone": {"id": "NOTHINGHER"},
    "closed": {"id": "SAMPLEKB01.denied"},
}


@pytest.fixture(scope="module")
def emulator_url() -> Iterator[str]:
    with serving(create_emulator(EmulatorConfig(region="us-west-2"))) as url:
        yield url


@pytest.fixture(autouse=True)
def _configured(monkeypatch: pytest.MonkeyPatch, tmp_path, emulator_url: str) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "ENDPOINT_URL": emulator_url,
        "RETRIEVAL_ENDPOINT_URL": emulator_url,
        "MODEL_ID": MODEL,
        "KNOWLEDGE_BASES": json.dumps(BASES),
    }.items():
        monkeypatch.setenv(PREFIX + name, value)


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, tuple[str, str]]:
    """Return level and text of the lines about knowledge bases."""
    main(["doctor", "--json"])
    findings = json.loads(capsys.readouterr().out)["findings"]
    return {
        finding["subject"]: (finding["level"], f"{finding['message']} {finding['mend']}")
        for finding in findings
        if finding["subject"].startswith("knowledge base")
    }


def test_each_knowledge_base_has_a_line_that_says_how_to_fix_it(capsys):
    lines = told(capsys)

    assert lines["knowledge base sample"][0] == "ok"
    assert lines["knowledge base gone"][0] == "fault"
    assert "knowledge_base_not_found" in lines["knowledge base gone"][1]
    assert "bedrock:Retrieve" in lines["knowledge base closed"][1]


def test_an_api_key_is_not_a_credential_for_knowledge_bases(capsys, monkeypatch):
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "key")
    lines = told(capsys)

    assert lines["knowledge bases"][0] == "warning"
    assert "can't call knowledge bases" in lines["knowledge bases"][1]
    assert lines["knowledge base sample"][0] == "ok"


def test_with_only_an_api_key_no_knowledge_base_can_be_queried(capsys, monkeypatch):
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "key")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    lines = told(capsys)

    assert lines["knowledge base sample"][0] == "fault"
    assert "upstream_credentials" in lines["knowledge base sample"][1]
