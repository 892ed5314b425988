"""Detects a file's media type by its bytes."""

from app.domain.errors import FilePurposeError
from app.domain.file import FilePurpose
from app.services.documents import pdf
from app.services.images.inspection.sniff import sniff

HEAD = 4096
"""Number of leading bytes from which the type is detected."""
JSON_LINES = "application/jsonl"


def media_type(head: bytes, purpose: FilePurpose) -> str:
    """Return the type of a file that begins with ``head``.

    Raises an ImageError if a vision file is neither an image nor a document, and FilePurposeError
    if a batch file is not text.
    """
    if purpose is FilePurpose.VISION:
        return "application/pdf" if pdf.is_pdf(head) else sniff(head).value
    if purpose is FilePurpose.BATCH and b"\0" in head:
        raise FilePurposeError.at("file", "is not text; a batch's input is JSON Lines")
    return JSON_LINES
