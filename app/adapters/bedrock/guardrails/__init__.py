"""Bedrock's guardrails behind the Guardrail port."""
