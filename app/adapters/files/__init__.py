"""Where files are kept, behind `FileStore`."""
