"""Counts the files inside a PDF, of which a portfolio's cover says nothing."""

from collections.abc import Iterator

import pypdfium2
import pypdfium2.raw as raw

from app.domain.image import AnswerWarning

ATTACHMENTS_NOT_READ = "attachments_not_read"


def unread(document: pypdfium2.PdfDocument) -> Iterator[AnswerWarning]:
    """Yield a warning if the document has attached files, as only its own pages are shown."""
    count = raw.FPDFDoc_GetAttachmentCount(document)
    if count > 0:
        yield AnswerWarning(
            ATTACHMENTS_NOT_READ,
            f"{count} file(s) inside the PDF, as in a portfolio, are not read; send them as files "
            "of the request.",
        )
