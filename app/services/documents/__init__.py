"""Documents: PDFs and multi-page TIFFs taken apart into pages, pages into strips."""
