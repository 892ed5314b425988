"""``python -m app keys``: makes, lists and revokes API keys."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from app.adapters.access import key_file
from app.domain import guardrail, key, limit, metadata_filter
from app.domain.access import Scope, scope
from app.domain.cache import CacheMode
from app.settings import PREFIX, keys_file

DEFAULT_SCOPES = (Scope.GENERATE, Scope.TASKS, Scope.IMAGES)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the commands' arguments."""
    parser.add_argument("--file", type=Path, help=f"the key file; by default {PREFIX}KEYS_FILE")
    actions = parser.add_subparsers(dest="action", required=True)
    create = actions.add_parser("create", help="make a key and print it; it is not shown again")
    create.add_argument("name", help="who it is for")
    create.add_argument(
        "--scope",
        action="append",
        type=scope,
        metavar="SCOPE",
        help=f"may be repeated; one of {', '.join(Scope)} or rag:<name>; by default "
        f"{', '.join(DEFAULT_SCOPES)}",
    )
    create.add_argument(
        "--limits",
        type=_object,
        default={},
        metavar="JSON",
        help="""for example '{"requests": "10/second; 300/minute", "spend": "5/day"}'""",
    )
    create.add_argument(
        "--guardrail",
        type=_object,
        default={},
        metavar="JSON",
        help="""a guardrail policy of its own, for example '{"output": "audit"}'""",
    )
    create.add_argument(
        "--cache", choices=list(CacheMode), help="whether its answers are kept; docs/cache.md"
    )
    create.add_argument(
        "--filter",
        type=_filter,
        metavar="JSON",
        help="filter of the documents of knowledge bases that its holder may see, for example "
        '\'{"equals": {"key": "tenant", "value": "acme"}}\'',
    )
    actions.add_parser("list", help="list the keys")
    actions.add_parser("revoke", help="revoke a key").add_argument("id", help="as listed")


def run(parsed: argparse.Namespace) -> int:
    """Run one of the commands and return its exit status."""
    try:
        file = parsed.file or keys_file()
        match parsed.action:
            case "create":
                return _create(parsed, file)
            case "list":
                return _list(_required(file))
            case _:
                return _revoke(_required(file), parsed.id)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2


def _create(arguments: argparse.Namespace, path: Path | None) -> int:
    limit.parse(arguments.limits)
    guardrail.parse(arguments.guardrail)
    scopes = arguments.scope or DEFAULT_SCOPES
    text, record = key.issue(
        arguments.name,
        scopes,
        arguments.limits,
        arguments.filter,
        arguments.guardrail,
        arguments.cache,
    )
    if path is None:
        sys.stderr.write(f"No file was given; for {PREFIX}KEYS:\n{key.render([record])}")
    else:
        before = key_file.read(path) if path.exists() else ()
        key_file.write(path, (*before, record))
        sys.stderr.write(f"Key {record.id} is in {path}. It is shown this once:\n")
    sys.stdout.write(f"{text}\n")
    return 0


def _list(path: Path) -> int:
    for record in key_file.read(path):
        state = f"revoked {record.revoked}" if record.revoked else "valid"
        scopes = ",".join(record.scopes)
        limits = json.dumps(dict(record.limits))
        own = [] if record.filter is None else [f"filter {json.dumps(record.filter)}"]
        columns = (record.id, state, record.created, scopes, limits, record.name, *own)
        sys.stdout.write("\t".join(columns) + "\n")
    return 0


def _revoke(path: Path, key_id: str) -> int:
    records = key_file.read(path)
    if key_id not in {record.id for record in records}:
        raise ValueError(f"{path}: there is no key {key_id}")
    changed = (key.revoke(record) if record.id == key_id else record for record in records)
    key_file.write(path, changed)
    return 0


def _object(text: str) -> dict[str, str]:
    """Return the JSON object in ``text``. Raises ValueError or ArgumentTypeError."""
    value = json.loads(text)
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("is not a JSON object")
    return value


def _filter(text: str) -> dict[str, Any]:
    """Return the metadata filter in ``text``. Raises ValueError or ArgumentTypeError."""
    value: dict[str, Any] = json.loads(text)
    try:
        metadata_filter.parse(value)
    except metadata_filter.FilterError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return value


def _required(path: Path | None) -> Path:
    if path is None:
        raise ValueError(f"say which file: --file, or {PREFIX}KEYS_FILE")
    return path
