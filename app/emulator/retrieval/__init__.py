"""Knowledge bases from folders, as bedrock-agent-runtime serves them."""
