"""The pictures of a folder."""

from dataclasses import dataclass
from pathlib import Path

PICTURES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
    | {".heic", ".heif", ".heics", ".avif"}
)
DOCUMENTS = frozenset({".pdf"})


@dataclass(frozen=True, slots=True)
class Folder:
    """The files under a folder that a batch takes, and those it leaves."""

    root: Path
    files: tuple[str, ...]
    """Paths beneath it, with slashes, in their order."""
    skipped: int
    """Files that are no pictures, by their names."""

    def path(self, name: str) -> Path:
        """Return the path of ``name``."""
        return self.root / name


def scan(root: Path, *, documents: bool) -> Folder:
    """Return the pictures under ``root``, and documents where they are taken.

    What begins with a dot is left alone.
    """
    taken = PICTURES | DOCUMENTS if documents else PICTURES
    files, skipped = [], 0
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root)
        if any(part.startswith(".") for part in name.parts) or not path.is_file():
            continue
        if path.suffix.lower() in taken:
            files.append(name.as_posix())
        else:
            skipped += 1
    return Folder(root, tuple(files), skipped)
