"""Cross-cutting behaviour: each wraps a VisionModel, stacked in `app.wiring.services`."""
