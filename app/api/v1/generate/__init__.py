"""`/v1/generate`: prompts, with pictures or without."""
