"""JSON Schemas of answers: bounding them, describing them and converting values to them."""
