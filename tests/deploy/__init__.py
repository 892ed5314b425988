"""The deployment files, checked by their platforms' own programs."""
