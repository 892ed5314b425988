"""Answers PDFium's font requests with fonts of this machine."""

import ctypes
from collections.abc import Mapping

from pypdfium2 import PdfSysfontBase

from app.services.documents.fonts import Font, offset, read

_COLLECTION = 0x74746366  # "ttcf": the whole of a collection is asked for
_WHOLE = 0


class FontMap(PdfSysfontBase):  # type: ignore[misc]  # pypdfium2 ships no type information
    """Maps faces to chosen fonts, else as PDFium does; one per process, since PDFium has one."""

    def __init__(self) -> None:
        super().__init__()
        self.by_face: Mapping[str, Font] = {}
        """Replacements for fonts that are not embedded, by the name in the PDF."""
        self.used: set[str] = set()
        """The names in `by_face` that PDFium requested."""
        self.fallback: Font | None = None
        """The font for characters that the page's fonts lack."""
        self._handles: dict[int, Font] = {}

    def MapFont(self, _, weight, italic, charset, pitch, face, exact):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201, N802 - PDFium's callback
        """Return a handle of the font for ``face``, or PDFium's own answer."""
        name = (ctypes.cast(face, ctypes.c_char_p).value or b"").decode("latin-1")
        font = self.by_face.get(name)
        if font is not None:
            self.used.add(name)
        font = font or self.fallback
        if font is None:
            return super().MapFont(_, weight, italic, charset, pitch, face, exact)
        handle = next((h for h, known in self._handles.items() if known is font), 0)
        if not handle:
            # Small numbers can't be confused with PDFium's own handles, which are addresses.
            handle = len(self._handles) + 1
            self._handles[handle] = font
        return handle

    def GetFontData(self, _, handle, table, buffer, size):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201, N802
        """Write the font's bytes to ``buffer`` if they fit, and return their number."""
        font = self._handles.get(handle)
        if font is None:
            return super().GetFontData(_, handle, table, buffer, size)
        data = read(font.path)
        start = offset(data)
        if table == _COLLECTION:
            part = data if start else b""
        else:
            part = data[start:] if table == _WHOLE else b""
        if buffer and size >= len(part):
            ctypes.memmove(buffer, part, len(part))
        return len(part)

    def GetFaceName(self, _, handle, buffer, size):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201, N802
        """Return no name for a mapped font, so that PDFium uses the name that it requested."""
        return 0 if handle in self._handles else super().GetFaceName(_, handle, buffer, size)

    def GetFontCharset(self, _, handle):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201, N802
        """Return the default character set for a mapped font."""
        return 1 if handle in self._handles else super().GetFontCharset(_, handle)

    def DeleteFont(self, _, handle):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201, N802
        """Free PDFium's own handle; mapped fonts need no release."""
        if handle not in self._handles:
            super().DeleteFont(_, handle)

    def choose(self, by_face: Mapping[str, Font]) -> None:
        """Start a page with these fonts and no fallback."""
        self.by_face, self.used, self.fallback = by_face, set(), None


def installed() -> FontMap:
    """Return this process's font map, registered with PDFium the first time."""
    current = PdfSysfontBase.SINGLETON
    if not isinstance(current, FontMap):
        current = FontMap()
        current.setup()
    return current
