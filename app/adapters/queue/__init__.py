"""The queue of long work, behind `WorkQueue`."""
