"""One module per file format: its header read, and for JPEG and PNG its metadata cut out."""
