"""The composition root: it opens clients, picks adapters and builds the Services."""
