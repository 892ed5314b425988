"""Models with scripted answers, and texts as models write them."""
