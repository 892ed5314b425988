"""`/v1/rag`: answers from the documents of knowledge bases."""
