"""A folder's files as chunks: pages, paragraphs and pictures, with their metadata."""

import csv
import io
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson

from app.emulator.model.sight.pixels import Pixels, measured
from app.emulator.model.sight.text_lines import TextLines
from app.emulator.wire.bodies.conversation import Picture
from app.emulator.wire.bodies.picture import checked
from app.emulator.wire.errors import AwsError

_log = logging.getLogger(__name__)
_METADATA = ".metadata.json"
_WORDS = ".words.txt"
"""The suffix of a file with a picture's words, so that they need not be read again."""
_SAID = {".transcript.txt": "AUDIO", ".summary.txt": "VIDEO"}
"""The suffix of a file with the text that Bedrock would extract from a recording or a video."""
_BESIDE = (_METADATA, _WORDS, *_SAID)
_PREFIX = "x-amz-bedrock-kb-"
_CHUNK = 1200  # Characters: about the 300 tokens of AWS's default.
_LARGEST = 50_000_000
_MOST_SIDE = 8000
_TEXTS = {".txt": "text/plain", ".md": "text/markdown", ".html": "text/html"}
_PICTURES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
}
_RECORDINGS = {
    ".mp3": ("AUDIO", "audio/mpeg"),
    ".wav": ("AUDIO", "audio/wav"),
    ".flac": ("AUDIO", "audio/flac"),
    ".mp4": ("VIDEO", "video/mp4"),
    ".mov": ("VIDEO", "video/quicktime"),
}
_MOST_ROWS = 10_000
Read = Callable[[Picture], TextLines]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document, the unit of search results."""

    path: Path
    document: str
    """The path within the folder, with ``/`` between its parts."""
    text: str
    """The text that is searched; for a picture, the words read in it."""
    metadata: dict[str, Any]
    pixels: Pixels | None = None
    """The pixels of a picture."""
    kind: str = "TEXT"
    """``TEXT``, ``IMAGE``, ``ROW``, ``AUDIO`` or ``VIDEO``."""
    row: tuple[tuple[str, str], ...] = ()
    """A table's row: columns and values."""
    said: str = ""
    """A recording's words, or a video's summary."""


def chunks(folder: Path, read: Read) -> Iterator[Chunk]:
    """Yield the chunks of every file that can be read, in the order of their names."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.endswith(_BESIDE) and path.stat().st_size < _LARGEST:
            try:
                yield from list(_of_file(path, path.suffix.lower(), folder, read))
            except (AwsError, OSError, ValueError, RuntimeError, AttributeError) as error:
                _log.warning("%s is left out: %s", path, error)


def _of_file(path: Path, kind: str, folder: Path, read: Read) -> Iterator[Chunk]:
    if kind in _TEXTS:
        for text in _paragraphs(_plain(path, kind)):
            yield _chunk(path, folder, text, _TEXTS[kind])
    elif kind == ".pdf" and find_spec("pypdfium2") is not None:
        for number, text in enumerate(_pages(path, read), 1):
            about = {"document-page-number": number}
            yield _chunk(path, folder, text, "application/pdf", about)
    elif kind in _PICTURES:
        picture = _picture(path.read_bytes())
        words = path.with_name(path.name + _WORDS)
        text = words.read_text("utf-8") if words.is_file() else read(picture).text
        pixels = measured(picture)
        yield _chunk(path, folder, text, _PICTURES[kind], pixels=pixels, kind="IMAGE")
    elif kind == ".csv":
        yield from _rows(path, folder)
    elif kind in _RECORDINGS:
        yield _recording(path, folder, *_RECORDINGS[kind])


def _rows(path: Path, folder: Path) -> Iterator[Chunk]:
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        for number, row in zip(range(_MOST_ROWS), csv.DictReader(file), strict=False):
            cells = tuple((str(name), str(value)) for name, value in row.items() if name)
            text = "\n".join(f"{name}: {value}" for name, value in cells)
            about = {"row": number + 1}
            yield _chunk(path, folder, text, "text/csv", about, kind="ROW", row=cells)


def _recording(path: Path, folder: Path, kind: str, mime_type: str) -> Chunk:
    beside = next(path.with_name(path.name + end) for end, of in _SAID.items() if of == kind)
    said = beside.read_text("utf-8").strip() if beside.is_file() else ""
    # A recording without a text is found by its name, as by a title.
    text = said or path.stem.replace("-", " ").replace("_", " ")
    return _chunk(path, folder, text, mime_type, kind=kind, said=said)


def _chunk(
    path: Path,
    folder: Path,
    text: str,
    mime_type: str,
    about: dict[str, Any] | None = None,
    **more: Any,  # noqa: ANN401 - further fields of the chunk
) -> Chunk:
    document = path.relative_to(folder).as_posix()
    known = {
        "source-file-mime-type": mime_type,
        "source-file-modality": more.get("kind", "TEXT").replace("ROW", "TEXT"),
        "chunk-id": sha256(f"{document}|{about}|{text}".encode()).hexdigest()[:32],
        **(about or {}),
    }
    prefixed = {f"{_PREFIX}{key}": value for key, value in known.items()}
    return Chunk(path, document, text, {**_attributes(path), **prefixed}, **more)


def _attributes(path: Path) -> dict[str, Any]:
    beside = path.with_name(path.name + _METADATA)
    if not beside.is_file():
        return {}
    attributes = orjson.loads(beside.read_bytes()).get("metadataAttributes", {})
    # AWS knows two spellings: the value, or an object that tells its type.
    return {key: _value(value) for key, value in attributes.items()}


def _value(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if not isinstance(value, dict):
        return value
    told = value.get("value", {})
    kinds = {"STRING": "stringValue", "NUMBER": "numberValue", "BOOLEAN": "booleanValue"}
    return told.get(kinds.get(told.get("type", ""), "stringListValue"))


def _picture(data: bytes) -> Picture:
    return checked(data, "file", most_bytes=len(data), most_side=_MOST_SIDE)


def _plain(path: Path, kind: str) -> str:
    text = path.read_text(encoding="utf-8", errors="replace")
    if kind != ".html":
        return text
    reader = _HtmlText()
    reader.feed(text)
    return "".join(reader.parts)


class _HtmlText(HTMLParser):
    """Collects the text of a page, a block of it on lines of its own."""

    _BLOCKS = ("p", "div", "li", "tr", "h1", "h2", "h3", "h4", "br", "section", "article", "title")

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        self._hidden += tag in ("script", "style")
        if tag in self._BLOCKS:
            self.parts.append("\n\n")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data)


def _paragraphs(text: str) -> Iterator[str]:
    """Yield paragraphs, joined as long as they are short."""
    gathered = ""
    for paragraph in filter(None, map(str.strip, re.split(r"\n\s*\n", text))):
        if gathered and len(gathered) + len(paragraph) > _CHUNK:
            yield gathered
            gathered = ""
        gathered = f"{gathered}\n\n{paragraph}" if gathered else paragraph
    if gathered:
        yield gathered


def _pages(path: Path, read: Read) -> Iterator[str]:
    import pypdfium2

    document = pypdfium2.PdfDocument(path)
    try:
        for page in document:
            text = page.get_textpage().get_text_bounded().strip()
            yield text or _scanned(page, read)
    finally:
        document.close()


def _scanned(page: Any, read: Read) -> str:  # noqa: ANN401 - the library ships no types
    """Return the words read in a page that holds no text."""
    buffer = io.BytesIO()
    page.render(scale=1.5).to_pil().save(buffer, "PNG")
    return read(_picture(buffer.getvalue())).text
