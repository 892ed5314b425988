"""Answers from documents: retrieval, choice of chunks, prompt, answer, and check of citations."""
