"""Files uploaded by callers and files written by batches."""
