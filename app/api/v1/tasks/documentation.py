"""The page docs/tasks.md, generated from the tasks' specs."""

import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import orjson

from app.api.v1.tasks.schemas import TaskIn
from app.services.tasks import TASKS
from app.services.tasks.prompt import prompt
from app.services.tasks.spec import Task


def document() -> str:
    """Return the page in Markdown."""
    introduction = files(__package__).joinpath("introduction.md").read_text(encoding="utf-8")
    parts = [introduction, "\n".join(_options()), *("\n".join(_section(task)) for task in TASKS)]
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
    capability = task.capability
    yield f"Capability: {capability.basis} Languages: {', '.join(capability.languages)}."
    if capability.untrained:
        yield f"Not trained for: {', '.join(capability.untrained)}."
    yield ""
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
        description = part.get("description", "").replace("|", "\\|").replace("\n", " ")
        cell = "required" if name in required else f"`{_json(part.get('default'), flat=True)}`"
        yield f"| `{name}` | {_type(part)} |{f' {cell} |' if default else ''} {description} |"


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
