"""Answers from documents."""
