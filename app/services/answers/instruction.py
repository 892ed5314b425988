"""What the model is told of the form that its answer has to have."""

from collections.abc import Sequence

import orjson

from app.services.answers.schema import Schema

_SHOWN = 600
"""Characters of faults; more would not fit a repair prompt."""


def with_schema(text: str, schema: Schema) -> str:
    """Return ``text`` followed by the form that the answer has to have."""
    return (
        f"{text}\n\nAnswer with one JSON object and nothing else, valid under this JSON Schema. "
        f"Keep its keys as they are.\n{orjson.dumps(schema).decode()}"
    )


def correction(faults: Sequence[str], schema: Schema) -> str:
    """Return what asks for a wrong answer again."""
    told = "\n".join(faults)[:_SHOWN]
    return with_schema(
        f"That answer can not be used:\n{told}\nGive the whole answer again, corrected.", schema
    )
