"""`/v1/jobs`: answers that are fetched later."""
