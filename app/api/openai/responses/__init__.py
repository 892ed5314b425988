"""OpenAI's responses: the interface that its current SDKs call by default."""
