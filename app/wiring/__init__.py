"""The composition root: opens clients, picks adapters, builds Services."""
