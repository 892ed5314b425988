"""Documents: splits PDFs and multi-page TIFFs into pages, and pages into tiles."""
