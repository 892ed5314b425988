"""An OpenAI-compatible server behind `app.domain.ports`: vLLM, a gateway, this service again."""
