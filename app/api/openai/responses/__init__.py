"""OpenAI's responses, the API that its current SDKs call by default."""
