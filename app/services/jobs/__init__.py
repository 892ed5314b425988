"""Jobs: requests that are answered later, on the same queue as batches."""
