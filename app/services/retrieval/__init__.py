"""Answers from documents: find, choose, prepare, ask, cite, and check the citations."""
