"""Writes one object in many styles that models use, all with one meaning."""

import json
import re
from collections.abc import Callable
from typing import Any

Style = Callable[[dict[str, Any]], str]


def dumped(value: Any, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=False, **options)


def written(
    value: Any,
    *,
    quote: str = '""',
    key: str = '""',
    words: tuple[str, str, str] = ("true", "false", "null"),
    comma: str = ",",
    trailing: str = "",
) -> str:
    """Write ``value`` with these quotes, words and commas."""

    def text(value: str, quotes: str) -> str:
        if not quotes:
            return value
        inner = dumped(value)[1:-1].replace('\\"', '"')
        for mark in dict.fromkeys(quotes):
            inner = inner.replace(mark, "\\" + mark)
        return quotes[0] + inner + quotes[-1]

    def write(value: Any) -> str:
        if isinstance(value, dict):
            members = [f"{text(k, key)}: {write(v)}" for k, v in value.items()]
            return "{" + comma.join(members) + (trailing if members else "") + "}"
        if isinstance(value, list):
            return "[" + ", ".join(map(write, value)) + (trailing if value else "") + "]"
        if value is True or value is False or value is None:
            return words[0 if value is True else 1 if value is False else 2]
        return text(value, quote) if isinstance(value, str) else dumped(value)

    return write(value)


SCHEMA_ECHO = '{"type": "object", "properties": {"vendor": {"type": ["string", "null"]}}}'
TEMPLATE = '{"vendor": "string", "note": "...", "total": 0, "count": 0, "paid": "boolean"}'
DRAFT: dict[str, Any] = {
    "vendor": "DRAFT",
    "note": None,
    "total": 1.5,
    "count": 9,
    "paid": True,
    "items": [],
}

STYLES: dict[str, Style] = {
    "as asked": dumped,
    "indented": lambda v: dumped(v, indent=2),
    "compact": lambda v: dumped(v, separators=(",", ":")),
    "escaped": lambda v: json.dumps(v),
    "fence with a language": lambda v: f"```json\n{dumped(v, indent=2)}\n```",
    "fence without a language": lambda v: f"```\n{dumped(v)}\n```",
    "fence that is never closed": lambda v: f"```json\n{dumped(v)}",
    "code": lambda v: f"```javascript\nconst data = {written(v, key='')};\n```",
    "prose before": lambda v: f"Sure! Here is the object you {{asked}} for:\n\n{dumped(v)}",
    "prose behind": lambda v: f"{dumped(v)}\n\nLet me know if you need anything else.",
    "trailing commas": lambda v: written(v, trailing=","),
    "comments with slashes": lambda v: written(v, comma=", // as printed, see above\n"),
    "comments with a hash": lambda v: written(v, comma=", # as printed\n"),
    "Python's words": lambda v: written(v, quote="''", key="''", words=("True", "False", "None")),
    "bare keys": lambda v: written(v, key=""),
    "single quotes": lambda v: written(v, quote="''", key="''"),
    "back ticks": lambda v: written(v, quote="``", key=""),
    "smart quotes": lambda v: written(v, quote="“”", key="“”"),
    "low quotes": lambda v: written(v, quote="„“", key="„“"),
    "angle quotes": lambda v: written(v, quote="«»", key="«»"),
    "lines without commas": lambda v: written(v, key="", comma="\n  "),
    "semicolons": lambda v: written(v, key="", comma=";\n"),
    "thinking before": lambda v: f"<think>Maybe {dumped(DRAFT)}? No.</think>{dumped(v)}",
    "thinking without its beginning": lambda v: f"{dumped(DRAFT)}\n</think>\n{dumped(v)}",
    "the schema before": lambda v: f"{SCHEMA_ECHO}\n\n{dumped(v)}",
    "a template before": lambda v: f"The form is {TEMPLATE}. So:\n{dumped(v)}",
    "the same behind": lambda v: f"{dumped(v)}\n{dumped(v)}",
    "another object behind": lambda v: f'{dumped(v)}\n{{"remark": "done"}}',
    "list of one": lambda v: f"[{dumped(v)}]",
    "wrapper": lambda v: f'{{"Receipt": {dumped(v)}}}',
    "schema around": lambda v: f'{{"type": "object", "properties": {dumped(v)}}}',
    "tokens left in": lambda v: (
        f"<|start_header_id|>assistant<|end_header_id|>\n\n{dumped(v)}<|eot_id|>"
    ),
    "a box around": lambda v: f"<|begin_of_box|>{dumped(v)}<|end_of_box|>",
    "doubled braces": lambda v: "{" + dumped(v) + "}",
    "without the last brace": lambda v: dumped(v)[:-1],
    "as a string": lambda v: dumped(dumped(v)),
    "line breaks in texts": lambda v: re.sub(
        r"\\(.)", lambda escape: "\n" if escape[1] == "n" else escape[0], dumped(v)
    ),
    "keys in capitals": lambda v: dumped({name.title(): member for name, member in v.items()}),
}
