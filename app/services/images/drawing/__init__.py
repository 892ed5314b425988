"""Draws contact sheets, boxes over pictures, and thumbnails."""
