"""A stand-in for Amazon Bedrock that speaks its wire format and shares no code with the service."""
