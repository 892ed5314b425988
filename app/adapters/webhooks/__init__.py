"""Where webhooks are sent: over the guarded transport, or nowhere."""
