"""Validates a batch's input file line by line."""

import asyncio
import codecs
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from sys import maxsize

from app.domain.batch import BatchFault
from app.domain.errors import FileNotFoundHereError
from app.domain.file import FilePurpose, StoredFile
from app.services.batches.row import Place, Row, RowError, file_ids, parsed
from app.services.files.service import FileService

MOST_FAULTS = 100
"""Maximum number of reported faults; the rest of the file is then not read."""
_PAUSE = 64
"""Lines between two yields to the event loop."""


@dataclass(frozen=True, slots=True)
class IntakeLimits:
    """The size limits of an input file."""

    rows: int
    line_bytes: int
    """Maximum size of a row in bytes, the same as for a request body."""


@dataclass(slots=True)
class Intake:
    """Validates one input file."""

    files: FileService
    stored: StoredFile
    endpoint: str
    unknown_fields: Callable[[str, dict[str, object]], list[str]]
    """Returns the names of a body's fields that the endpoint does not know."""
    limits: IntakeLimits
    alive: Callable[[], Awaitable[None]]
    """Called periodically to show that the work is still running; may raise to stop it."""
    places: list[Place] = field(default_factory=list)
    faults: list[BatchFault] = field(default_factory=list)
    _seen: dict[bytes, int] = field(default_factory=dict)
    """The line number of each custom id, by digest."""
    _checked: bool = True
    """Whether to check fields, files and duplicates, which a file already validated has passed."""
    _over: bool = False
    """Whether the file has more rows than the limit."""
    _known: dict[str, str | None] = field(default_factory=dict)
    """The fault of each referenced file, by id; None for a usable file."""

    @classmethod
    def again(
        cls,
        files: FileService,
        stored: StoredFile,
        endpoint: str,
        alive: Callable[[], Awaitable[None]],
    ) -> "Intake":
        """Return an intake that locates the rows of a validated file, at the same positions."""
        unlimited = IntakeLimits(maxsize, maxsize)
        return cls(files, stored, endpoint, lambda *_: [], unlimited, alive, _checked=False)

    async def read(self) -> None:
        """Fill ``places``, and ``faults`` for an invalid file; a byte order mark is skipped.

        Raises FileNotFoundHereError if the file is deleted meanwhile.
        """
        number = 0
        async for number, start, line in self._lines():
            if number % _PAUSE == 0:
                await asyncio.sleep(0)
                await self.alive()
            await self._row(number, start, line)
            if self._over or len(self.faults) >= MOST_FAULTS:
                return
        if not (self.places or self.faults):
            self._fault("empty_file", "the input file has no rows")

    async def _row(self, number: int, start: int, line: bytes | None) -> None:
        if line is None:
            most = self.limits.line_bytes
            self._fault("line_too_long", f"has more than {most:,} bytes", number)
            return
        if number == 1 and line.startswith(codecs.BOM_UTF8):
            # Windows editors add a byte order mark, and RFC 8259 lets parsers ignore it.
            start, line = start + len(codecs.BOM_UTF8), line[len(codecs.BOM_UTF8) :]
        if not line.strip():
            return
        try:
            row = parsed(line, self.endpoint)
            if self._checked:
                await self._check(row, number)
        except RowError as error:
            self._fault(error.code, error.message, number, error.param)
            return
        if len(self.places) == self.limits.rows:
            self._fault("too_many_rows", f"at most {self.limits.rows:,} rows are taken", number)
            self._over = True
            return
        self.places.append(Place(start, start + len(line), row.custom_id))

    async def _check(self, row: Row, number: int) -> None:
        self._check_new(row.custom_id, number)
        for name in self.unknown_fields(self.endpoint, row.body):
            raise RowError("unknown_field", "there is no such field", f"body.{name[:100]}")
        for file_id in file_ids(row.body):
            await self._check_file(file_id)

    def _check_new(self, custom_id: str, number: int) -> None:
        digest = blake2b(custom_id.encode("utf-8", "surrogatepass"), digest_size=12).digest()
        first = self._seen.setdefault(digest, number)
        if first != number:
            raise RowError(
                "duplicate_custom_id",
                f"{custom_id[:100]!r} is already in line {first}",
                "custom_id",
            )

    async def _check_file(self, file_id: str) -> None:
        if file_id not in self._known:
            self._known[file_id] = await self._file_fault(file_id)
        fault = self._known[file_id]
        if fault is not None:
            raise RowError("file_not_found", fault, "body")

    async def _file_fault(self, file_id: str) -> str | None:
        try:
            named = await self.files.get(self.stored.owner, file_id)
        except FileNotFoundHereError as error:
            return error.detail
        if named.purpose is not FilePurpose.VISION:
            return f"{file_id} was uploaded for {named.purpose}, not for vision"
        return None

    def _fault(
        self, code: str, message: str, line: int | None = None, param: str | None = None
    ) -> None:
        place = "" if line is None else f"line {line}: "
        name = "" if param is None else f"{param}: "
        self.faults.append(BatchFault(code, place + name + message, line, param))

    async def _lines(self) -> AsyncIterator[tuple[int, int, bytes | None]]:
        """Yield each line's number, the offset of its first byte and its bytes.

        The bytes are None if the line is too long.
        """
        number, start = 1, 0
        # The pieces of an incomplete line, joined once at its end.
        begun: list[bytes] = []
        length = 0
        async for chunk in self.files.read(self.stored):
            begin = 0
            while (end := chunk.find(b"\n", begin)) >= 0:
                length += end - begin
                yield number, start, self._line((*begun, chunk[begin:end]), length)
                start += length + 1
                number, begin, length = number + 1, end + 1, 0
                begun.clear()
            length += len(chunk) - begin
            if length > self.limits.line_bytes:
                begun.clear()
            elif begin < len(chunk):
                begun.append(chunk[begin:])
        if length:
            yield number, start, self._line(begun, length)

    def _line(self, parts: Sequence[bytes], length: int) -> bytes | None:
        return None if length > self.limits.line_bytes else b"".join(parts)
