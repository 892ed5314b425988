"""The service's identity to AWS: credentials and signatures."""
