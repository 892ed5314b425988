"""Knowledge bases made of folders, as bedrock-agent-runtime serves them."""
