"""A stand-in for Amazon Bedrock that speaks its wire. Shares no code with the service."""
