"""A file's media type, by its bytes."""

from app.domain.errors import FilePurposeError
from app.domain.file import FilePurpose
from app.services.documents import pdf
from app.services.images.sniff import sniff

HEAD = 4096
"""Bytes of a file that its type is told from."""
JSON_LINES = "application/jsonl"


def media_type(head: bytes, purpose: FilePurpose) -> str:
    """Return the type of a file that begins with ``head``.

    Raises an ImageError where one for vision is neither a picture nor a document, and
    FilePurposeError where one for batches is no text.
    """
    if purpose is FilePurpose.VISION:
        return "application/pdf" if pdf.is_pdf(head) else sniff(head).value
    if purpose is FilePurpose.BATCH and b"\0" in head:
        raise FilePurposeError.at("file", "is no text; a batch's input has one JSON object a line")
    return JSON_LINES
