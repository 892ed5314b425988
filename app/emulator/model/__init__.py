"""The toy vision model: it measures a picture, reads its words and answers from both."""
