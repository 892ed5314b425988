"""`/v1/generate`: prompts with or without pictures."""
