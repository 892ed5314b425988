"""Runs every regular expression of the service's modules over text that is made to be slow.

``python -m tests.support.repository.slow_patterns`` prints a line for each that took longer than
`SECONDS`. It runs in a process of its own, because a pattern that never ends can't be stopped
from a thread.
"""

import importlib
import inspect
import pkgutil
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from types import ModuleType
from typing import Any

import app
from app.services.answers.text.numbers import LONGEST

SIZE = 65_536
SECONDS = 3
"""A linear pattern takes milliseconds, a quadratic one takes half a minute."""
BOUNDED = {
    "app.services.answers.text.numbers._AROUND": LONGEST,
    "app.services.answers.text.numbers._COMMA": 60,
    "app.services.answers.text.numbers._POINT": 60,
    "app.services.generation.image_sources._MEDIA_TYPE": 512,
    "app.services.tasks.spec._RANGE": 100,
}
"""Patterns whose input is limited to this many characters."""
OPERATORS = ("app.cli", "app.emulator", "app.settings", "app.domain.limit")
"""Modules whose patterns read only operators' texts, never callers' or models'."""
UNITS: tuple[str, ...] = (
    " ",
    "\n",
    "a",
    "0",
    "_",
    "-",
    ".",
    ",",
    ":",
    "|",
    '"',
    "'",
    "`",
    "\\",
    "{",
    "}",
    "[",
    "]",
)
UNITS += ("<", "“", "a ", "0 ", "0.", "0,", "a-", "a.", '",', "[1]", "|-", "```", '\\"', "{ ", "[ ")
BEFORE = ("", '{"a', "|-")


class TooSlowError(Exception):
    """Raised to interrupt a slow search."""


def patterns() -> Iterator[tuple[str, re.Pattern[Any], str]]:
    """Yield the name of each pattern, the pattern, and a method by which its module uses it."""
    for found in pkgutil.walk_packages(app.__path__, "app."):
        if found.name.endswith("__main__") or found.name.startswith(OPERATORS):
            continue
        with suppress(ImportError):  # part of an extra that is not installed
            yield from _patterns(importlib.import_module(found.name))


def _patterns(module: ModuleType) -> Iterator[tuple[str, re.Pattern[Any], str]]:
    source = inspect.getsource(module)
    for name, value in vars(module).items():
        if not isinstance(value, re.Pattern):
            continue
        methods = set(re.findall(rf"\b{name}\.(search|match|fullmatch|sub|split|finditer)", source))
        for method in methods:
            anywhere = method not in ("match", "fullmatch")
            yield f"{module.__name__}.{name}", value, "search" if anywhere else method


def slow(name: str, pattern: re.Pattern[Any], method: str) -> str | None:
    """Return a text that takes too long, or None."""
    size = BOUNDED.get(name, SIZE)
    for before in BEFORE:
        for unit in UNITS:
            text: Any = before + (unit * size)[: size - len(before) - 1] + "\x01"
            if isinstance(pattern.pattern, bytes):
                text = text.encode()
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            try:
                getattr(pattern, method)(text)
            except TooSlowError:
                return before + unit
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
    return None


def _stop(*_: object) -> None:
    raise TooSlowError


def main() -> None:
    """Print each slow pattern, and the number of all patterns."""
    signal.signal(signal.SIGPROF, _stop)
    count = 0
    for name, pattern, method in patterns():
        count += 1
        if (text := slow(name, pattern, method)) is not None:
            sys.stdout.write(f"{name}.{method} is slow over {text!r}\n")
    sys.stdout.write(f"{count} patterns\n")


if __name__ == "__main__":
    main()
