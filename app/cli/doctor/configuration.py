"""Checks of the settings, where they came from, and the files that they name."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from app.domain.finding import Finding, fault, ok, warning
from app.settings import PREFIX, Settings, SettingsError, origins
from app.wiring.preflight import check_files, unwritable

_USER = re.compile(r"(?<=:)//[^/?#\s]*@")
LEAST_FREE_BYTES = 100 * 1024 * 1024


def check(settings: Settings) -> Iterator[Finding]:
    """Yield a finding for each setting that is set, and findings about the files."""
    sources = origins()
    for name, source in sorted(sources.items()):
        yield ok("setting", f"{PREFIX}{name} from {source}: {_value(settings, name)}")
    if not sources:
        yield ok("settings", "all have their defaults")
    try:
        check_files(settings)
    except SettingsError as error:
        for line in str(error).splitlines():
            yield fault("settings", line, "Correct the file, or the setting that names it.")
    if settings.usage_store == "sqlite":
        yield _ledger(settings.usage_file)


def _value(settings: Settings, name: str) -> str:
    # Pydantic itself shows secrets as asterisks.
    return shown(str(getattr(settings, name.lower())))


def shown(text: str) -> str:
    """Return ``text`` with the user and password of its URLs left out."""
    return _USER.sub("//…@", text)


def _ledger(path: Path) -> Finding:
    folder = path.absolute().parent
    subject = f"{PREFIX}USAGE_FILE"
    if reason := unwritable(path):
        return fault(subject, reason, "Let the service's user write there, or name another file.")
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE_BYTES:
        return warning(
            subject, f"{free // 2**20} MiB are free in {folder}", "Free some disk space."
        )
    return ok(subject, f"{path}, {free // 2**30} GiB free")
