"""Batch inference: jobs that read records from S3 and write answers there."""
