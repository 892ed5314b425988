"""OpenAI's dialect, for programs that use an OpenAI SDK."""
