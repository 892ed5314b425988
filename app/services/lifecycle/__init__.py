"""The lifecycle of models, and their successors."""
