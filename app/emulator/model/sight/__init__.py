"""Sees pictures: measures pixels, reads words, counts tiles."""
