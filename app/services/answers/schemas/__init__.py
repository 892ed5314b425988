"""JSON Schemas that answers must fit: bounded, explained and held."""
