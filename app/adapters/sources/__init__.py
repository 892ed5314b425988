"""Sources of pictures that a request only names: HTTP and S3."""
