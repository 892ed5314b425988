"""Generations: validates a prompt, prepares its images and calls the model once."""
