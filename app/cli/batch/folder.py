"""The pictures of a folder."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PICTURES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
    | {".heic", ".heif", ".heics", ".avif"}
)
DOCUMENTS = frozenset({".pdf"})


@dataclass(frozen=True, slots=True)
class Folder:
    """The files under a folder that a run processes, and the number of those it skips."""

    files: Mapping[str, Path]
    """The files by their path relative to the folder, with slashes, sorted and valid Unicode."""
    skipped: int
    """Number of files whose names are not those of pictures or documents."""
    closed: tuple[OSError, ...] = ()
    """Folders that can't be read."""


def scan(root: Path, *, documents: bool) -> Folder:
    """Return the pictures under ``root``, and with ``documents`` the PDFs too.

    Names that begin with a dot are ignored, and links to folders are not followed.
    """
    taken = PICTURES | DOCUMENTS if documents else PICTURES
    files: dict[str, Path] = {}
    closed: list[OSError] = []
    skipped = 0
    for folder, folders, names in os.walk(root, onerror=closed.append):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(folder, name)
            if name.startswith(".") or not path.is_file():
                continue
            if path.suffix.lower() in taken:
                files[shown(path.relative_to(root).as_posix())] = path
            else:
                skipped += 1
    return Folder(dict(sorted(files.items())), skipped, tuple(closed))


def shown(name: str) -> str:
    """Return a file's name as text; bytes that are not UTF-8 become escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
