"""Jobs: requests that are answered in the background, on the same queue as batches."""
