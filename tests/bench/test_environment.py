"""The machine's environment variables do not affect benchmark figures."""

from pathlib import Path

import pytest

from bench import fetch
from fixtures.process import ROOT, running

PROXIES = ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy")
SET = ("LLAMA_VISION_MODEL_ID", "AWS_BEARER_TOKEN_BEDROCK", "AWS_PROFILE", "EMULATOR_FAULT")


@pytest.fixture(autouse=True)
def _machine(monkeypatch):
    for name in (*PROXIES, *SET):
        monkeypatch.setenv(name, "http://127.0.0.1:9")


@pytest.fixture
def started(tmp_path):
    with running("bench.peers.upstream", str(tmp_path), environment={"GIVEN": "1"}) as it:
        yield it


def test_a_process_gets_only_the_environment_passed_to_it(started):
    entries = Path(f"/proc/{started.process.pid}/environ").read_text().split("\0")
    names = {entry.partition("=")[0] for entry in entries}

    assert "GIVEN" in names
    assert not names & {*PROXIES, *SET}


def test_a_process_runs_in_a_folder_without_an_env_file(started):
    assert Path(f"/proc/{started.process.pid}/cwd").readlink() != ROOT


def test_figures_are_not_fetched_through_a_proxy(started):
    assert b"requests" in fetch.get(f"{started.url}/bench")
