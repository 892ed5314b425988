"""OpenAI's chat completions, for programs that use an OpenAI SDK."""
