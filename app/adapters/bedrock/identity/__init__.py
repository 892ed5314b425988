"""Who the service is to AWS: credentials and signatures."""
