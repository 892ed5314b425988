"""Llama 3.2's prompt template, taken apart and written."""

import re

from app.emulator.wire.bodies.conversation import Turn

IMAGE = "<|image|>"
SPECIAL = re.compile(r"<\|[A-Za-z0-9_]+\|>")
_BEGIN = "<|begin_of_text|>"
_TURN = re.compile(
    r"<\|start_header_id\|>\s*(\w+)\s*<\|end_header_id\|>"
    r"(.*?)(?=<\|eot_id\|>|<\|eom_id\|>|<\|start_header_id\|>|\Z)",
    re.DOTALL,
)


def _bare(text: str) -> str:
    return SPECIAL.sub("", text).strip()


def _sections(prompt: str) -> list[tuple[str, str]]:
    return [(match[1], match[2]) for match in _TURN.finditer(prompt)]


def turns(prompt: str) -> tuple[Turn, ...]:
    """Return the turns of a native prompt; one without a template is one user turn."""
    sections = _sections(prompt) or [("user", prompt)]
    parts = tuple(Turn(role, _bare(text)) for role, text in sections)
    # The template ends with the header of the answer to come.
    return tuple(turn for turn in parts if turn.text or turn.role == "user")


def misplaced_image(prompt: str) -> bool:
    """Whether an image marker stands in a turn that is not the user's."""
    return any(IMAGE in text for role, text in _sections(prompt) if role != "user")


def header(role: str) -> str:
    """Return what opens a turn."""
    return f"<|start_header_id|>{role}<|end_header_id|>\n\n"


def written(messages: list[Turn]) -> str:
    """Return the whole prompt for messages whose text may hold image markers."""
    body = "".join(f"{header(turn.role)}{turn.text}<|eot_id|>" for turn in messages)
    return f"{_BEGIN}{body}{header('assistant')}"
