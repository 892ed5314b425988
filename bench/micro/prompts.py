"""Tokens of tasks' prompts, and calls for each answer, beside earlier figures.

    python -m bench.micro.prompts

*Before* is the prompt with a JSON Schema as this service sent it until skeletons came, counted with
the vocabulary of Llama 3 without the picture, and is written down here; *now* is what the
emulator counts. A call more than one is a repair, and its tokens are not shown.
"""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import httpx

from fixtures.images import photo
from fixtures.process import running

FIELDS = {
    "type": "object",
    "properties": {"vendor": {"type": "string"}, "total": {"type": "number"}},
}
BEFORE: tuple[tuple[str, dict[str, Any], int], ...] = (
    ("caption", {}, 190),
    ("vqa", {"question": "What animal is this?"}, 193),
    ("reasoning", {"question": "How many?"}, 185),
    ("document-qa", {"question": "What is the total?"}, 249),
    ("ocr", {}, 161),
    ("ocr", {"layout": "lines"}, 254),
    ("ocr", {"layout": "markdown"}, 164),
    ("ocr", {"layout": "table", "hint": "German"}, 198),
    ("extract", {"schema": FIELDS}, 210),
    ("grounding", {"phrases": ["cat", "dog"]}, 279),
    ("grounding", {}, 273),
    ("chart", {}, 362),
    ("diagram", {}, 357),
    ("inspection", {"object": "car door", "look_for": ["scratch"]}, 299),
    ("retrieval", {"query": "a cat"}, 182),
)


@contextmanager
def served(**settings: str) -> Iterator[httpx.Client]:
    """Yield a client of the service in front of the emulator."""
    with running("app.emulator", "--port", "0") as emulator:
        environment = {
            "LLAMA_VISION_ENDPOINT_URL": emulator.url,
            "LLAMA_VISION_PORT": "0",
            "LLAMA_VISION_AUTH": "disabled",
            "LLAMA_VISION_REQUEST_TIMEOUT": "900",
            "AWS_ACCESS_KEY_ID": "emulator",
            "AWS_SECRET_ACCESS_KEY": "emulator",
            **settings,
        }
        with (
            running("app", "serve", environment=environment) as service,
            httpx.Client(base_url=service.url, timeout=900) as client,
        ):
            yield client


def main() -> None:
    """Print the table."""
    file = BytesIO()
    photo().save(file, "JPEG")
    picture = base64.b64encode(file.getvalue()).decode()
    before_all = now_all = calls = 0
    with served() as client:
        print("| task | before | now | less | calls |\n|---|---|---|---|---|")
        for task, parameters, before in BEFORE:
            answer = client.post(f"/v1/tasks/{task}", json={"images": [picture], **parameters})
            answer.raise_for_status()
            body = answer.json()
            now = body["prompt_token_count"] if body["calls"] == 1 else 0
            before_all, now_all = before_all + before, now_all + now
            calls += body["calls"]
            print(f"| {task} {parameters} | {before} | {now} | {_less(before, now)} | ", end="")
            print(f"{body['calls']} |")
    print(f"| all | {before_all} | {now_all} | {_less(before_all, now_all)} | {calls} |")


def _less(before: int, now: int) -> str:
    return f"{1 - now / before:.0%}"


if __name__ == "__main__":
    main()
