"""Cross-cutting behaviour: each is a VisionModel around a VisionModel, stacked in `app.wiring`."""
