"""Newest frameworks on the Responses API, unmodified: vision, streams, structured output."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.domain.model import Dialect
from tests.support.files.pictures import DATA
from tests.support.programs.newest import Answers
from tests.support.service.emulated import running

PICTURE = DATA / "astronaut.png"
SEEN = "a square png picture of 512x512 pixels"


@pytest.fixture
def imported_url(emulator_url: str) -> Iterator[str]:
    """Return a service with an imported model, which supports structured output."""
    named = {"model_aliases": "us.meta.llama3-2-11b-instruct-v1:0"}
    with running(emulator_url, dialect=Dialect.CHAT, **named) as service:
        yield service.url


@pytest.mark.parametrize("program", ["openai_agents.py", "openai.mjs", "ai_sdk.mjs"])
def test_the_frameworks_vision_streaming_and_structured_examples_run_unchanged(
    newest_answers: Answers, imported_url: str, program: str
) -> None:
    said: dict[str, Any] = newest_answers(program, imported_url, str(PICTURE))

    assert SEEN in said["picture"]
    assert SEEN in said["stream"]
    assert said["deltas"] > 1
    assert set(said["formed"]) == {"description", "people"}
    assert isinstance(said["formed"]["people"], int)
    if program == "ai_sdk.mjs":
        assert SEEN in said["second"]


def test_openai_for_javascript_uses_chat_completions_too(
    newest_answers: Answers, imported_url: str
) -> None:
    said = newest_answers("openai.mjs", imported_url, str(PICTURE))

    assert SEEN in said["chatted"]
    assert SEEN in said["chunks"]


def test_the_programs_are_those_of_this_folder() -> None:
    folder = Path(__file__).parent / "programs"

    assert {path.name for path in folder.iterdir() if path.suffix in (".py", ".mjs")} == {
        "aws.py",
        "aws_http2.mjs",
        "openai_chat.py",
        "openai_agents.py",
        "openai.mjs",
        "ai_sdk.mjs",
    }
