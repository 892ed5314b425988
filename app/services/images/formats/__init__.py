"""One module per file format, to read its header and, for JPEG and PNG, remove its metadata."""
