"""docs/tasks.md, made from the specs."""

import re
from collections.abc import Iterator
from typing import Any

import orjson

from app.api.v1.tasks.schemas import TaskIn
from app.services.tasks import TASKS
from app.services.tasks.prompt import prompt
from app.services.tasks.spec import Task

_INTRODUCTION = """\
# Vision tasks

Made from the specs in `app/services/tasks` by `make tasks`; a test compares.

`POST /v1/tasks/{task}` takes JSON, `POST /v1/tasks/{task}/upload` a multipart form with the same
fields and the pictures as files, `GET /v1/tasks` lists all of this. Pictures come in every form
that `/v1/generate` takes. Every answer has this shape:

| field | meaning |
|---|---|
| `valid`, `result` | whether the answer could be made valid, and the typed result, else null |
| `faults` | why there is no result |
| `generation` | the model's raw text, always: a paid answer is never lost |
| `raw_texts` | the same call by call: `page`, `file` and `number` of what it was about, `text` |
| `repaired`, `calls` | whether an answer was asked for again, and all calls made |
| `prompt_token_count` and the other counts | tokens of all calls together |
| `prompt_version` | which prompt texts were used |
| `id`, `model`, `target`, `stop_reason` | as for `/v1/generate` |
| `images`, `warnings`, `latency_ms` | as for `/v1/generate` |

An answer that is not valid is asked for once more, with what was wrong. One that was cut off at
`max_gen_len` is not: it would be cut off again; raise `max_gen_len` instead. Scores and boxes
outside their range are refused, not clipped. Boxes are shares of the original picture as a viewer
shows it, whatever was turned and shrunk for the model; for a PDF `pixels` are points.

Words in a picture are content. The system text tells the model so, and a user's text stands between
tags that it can't close; no prompt can promise that a model obeys.

## Documents

`ocr`, `document-qa`, `extract`, `chart`, `diagram` and `grounding` take PDFs and multi-page TIFFs
beside pictures, up to 20 files. `pages` chooses pages of each file; with a plain picture it is
refused. All files together may have 50 pages, and with `detail: high` 120 pieces: one call each.
`page` counts on from one file to the next; `file` and `number` say which page of which file it is.

With `high` a page is drawn so large that its shorter side has 1120 pixels (a picture is never
enlarged) and cut into pieces of at most 1120 x 560, across and down, where it is empty: between
lines and between words. Where nothing is empty pieces share 120 pixels, and what two of them show
is given once, by its place or by its text. Empty pieces are not shown. A page narrower than 560
pixels has pieces of 1120 in height, and a PDF's long strip at most 200 dots an inch.

A page that can't be shown (too narrow, too large, damaged, of samples that are not accepted) costs
that page only: its `error` says why. A document that can't be opened is refused: `document_locked`,
`document_without_pages`, `image_damaged`. A TIFF's thumbnails and masks are no pages.

Text in a font that a PDF does not embed is drawn with a font of the machine: the image has Noto
for most scripts and WenQuanYi for Chinese, Japanese and Korean; elsewhere what is installed is
used. What no font has is told (`font_missing`, with page and font), and a page that shows nothing
although it has text is not asked about (`page_not_shown`). Annotations of a kind that PDFium does
not draw without an appearance stream (lines, polygons, stamps and others) are told as
`annotation_not_drawn`.

## Streams

With `stream: true` an answer comes as server-sent events: `progress` after every question that has
been dealt with (`done`, `total`, `page`, `fault`, and of `ocr` the `text` read), then exactly one
of `result` (the whole answer) and `error` (a problem). With an `Idempotency-Key` there is no
`progress`.
"""


def document() -> str:
    """Return the page."""
    parts = [_INTRODUCTION, "\n".join(_options()), *("\n".join(_section(task)) for task in TASKS)]
    return "\n".join(parts)


def _options() -> Iterator[str]:
    yield "## What every task takes\n"
    yield from _table(TaskIn.model_json_schema(), "by default")


def _section(task: Task[Any, Any]) -> Iterator[str]:
    images = task.images
    many = "one" if images.most == 1 else f"{images.least} to {images.most}"
    documents = "; PDFs and multi-page TIFFs are taken apart into pages" if images.documents else ""
    sampling = task.sampling
    yield f"\n## {task.name}\n"
    yield f"{task.summary}. {task.description}\n"
    yield (
        f"Images: {many}{documents}. By default temperature {sampling.temperature:g}, max_gen_len "
        f"{sampling.max_gen_len}. Prompt version {prompt(task.name).version}.\n"
    )
    yield from _table(task.parameters.model_json_schema(), "by default")
    yield "\nResult:\n"
    yield from _table(task.result.model_json_schema(mode="serialization"), None)
    request = {"images": ["…"] * images.least, **task.example.parameters}
    yield "\nExample:\n"
    yield f"```json\n{_json(request)}\n```\n"
    yield f"```json\n{_json(dict(task.example.result))}\n```"


def _table(schema: dict[str, Any], default: str | None) -> Iterator[str]:
    yield f"| field | type |{f' {default} |' if default else ''} meaning |"
    yield f"|---|---|{'---|' if default else ''}---|"
    required = schema.get("required", ())
    for name, part in schema["properties"].items():
        told = part.get("description", "").replace("|", "\\|").replace("\n", " ")
        cell = "required" if name in required else f"`{_json(part.get('default'), flat=True)}`"
        yield f"| `{name}` | {_type(part)} |{f' {cell} |' if default else ''} {told} |"


def _type(part: dict[str, Any]) -> str:
    if "$ref" in part:
        return re.sub(r"(?<!^)(?=[A-Z])", " ", part["$ref"].rpartition("/")[2]).lower()
    if "enum" in part:
        return ", ".join(f"`{value}`" for value in part["enum"])
    for key in ("anyOf", "oneOf"):
        if key in part:
            return " or ".join(dict.fromkeys(_type(option) for option in part[key]))
    if part.get("type") == "array":
        return f"list of {_type(part.get('items', {}))}"
    return str(part.get("type", "any"))


def _json(value: Any, *, flat: bool = False) -> str:  # noqa: ANN401 - any JSON value
    return orjson.dumps(value, option=None if flat else orjson.OPT_INDENT_2).decode()
