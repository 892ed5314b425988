"""Parses multipart forms of any size in memory as they arrive, with python-multipart's parser.

Memory for the whole body is reserved where it is received, so nothing is written to disk.
"""

import codecs
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from pydantic_core.core_schema import CoreSchema, is_instance_schema
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.domain.errors import MalformedBodyError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MOST_PARTS = 1_000
"""Maximum number of fields and files in a form."""


@dataclass(frozen=True, slots=True)
class FormFile:
    """A file in a form."""

    name: str
    """The file name that was sent; empty if a browser's file field was not filled in."""
    content_type: str | None
    data: bytes

    @classmethod
    def __get_pydantic_core_schema__(cls, *_: object) -> CoreSchema:
        """Accept only instances of this class."""
        return is_instance_schema(cls)

    @classmethod
    def __get_pydantic_json_schema__(cls, *_: object) -> dict[str, str]:
        """Describe the file in the only form for which Swagger UI offers a file chooser."""
        return {"type": "string", "format": "binary"}


FormValue = str | FormFile


def _malformed(reason: str) -> NoReturn:
    raise MalformedBodyError(f"the body can't be read: {reason}")


class FormParser:
    """Parses a form piece by piece."""

    def __init__(self, content_type: bytes) -> None:
        """Raise MalformedBodyError if ``content_type`` has no boundary."""
        _, parameters = parse_options_header(content_type)
        if b"boundary" not in parameters:
            _malformed("its Content-Type has no boundary")
        # Kept outside the parser: its callbacks would hold the files in a reference cycle.
        self._parts = _Parts(_charset(parameters.get(b"charset", b"utf-8")))
        try:
            self._parser = MultipartParser(parameters[b"boundary"], self._parts.callbacks())
        except FormParserError as error:
            _malformed(str(error))

    def feed(self, piece: bytes) -> None:
        """Parse the next piece. Raises MalformedBodyError."""
        try:
            self._parser.write(piece)
        except FormParserError:
            _malformed("invalid multipart data")

    def close(self) -> list[tuple[str, FormValue]]:
        """Return the form's fields and files in order. Raises MalformedBodyError.

        An incomplete form is refused, as what is missing may be a picture or a limit.
        """
        if not self._parts.ended:
            _malformed("it breaks off before its closing boundary")
        return self._parts.values


class _Parts:
    """The parsed parts."""

    def __init__(self, charset: str) -> None:
        self.values: list[tuple[str, FormValue]] = []
        self.ended = False
        self._charset = charset
        self._on_begin()

    def callbacks(self) -> "MultipartCallbacks":
        """Return the parser's callbacks."""
        return {
            "on_part_begin": self._on_begin,
            "on_header_field": self._on_header_name,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header,
            "on_part_data": self._on_data,
            "on_part_end": self._on_part,
            "on_end": self._on_end,
        }

    def _on_begin(self) -> None:
        self._headers: dict[bytes, bytes] = {}
        self._name = self._value = b""
        self._data: list[bytes] = []

    def _on_header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self._data.append(data[start:end])

    def _on_part(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        if b"name" not in options:
            _malformed('a part\'s Content-Disposition has no "name"')
        if len(self.values) == MOST_PARTS:
            _malformed(f"it has more than {MOST_PARTS:,} parts")
        data = self._data[0] if len(self._data) == 1 else b"".join(self._data)
        self._data = []
        self.values.append((self._decoded(options[b"name"]), self._part(options, data)))

    def _part(self, options: dict[bytes, bytes], data: bytes) -> FormValue:
        if b"filename" not in options:
            return self._decoded(data)
        kind = self._headers.get(b"content-type")
        declared = None if kind is None else kind.decode("latin-1")
        return FormFile(self._decoded(options[b"filename"]), declared, data)

    def _decoded(self, raw: bytes) -> str:
        try:
            return raw.decode(self._charset)
        except (LookupError, UnicodeDecodeError):
            return raw.decode("latin-1")

    def _on_end(self) -> None:
        self.ended = True


def _charset(name: bytes) -> str:
    try:
        return codecs.lookup(name.decode("latin-1")).name
    except LookupError:
        return "latin-1"
