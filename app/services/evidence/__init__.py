"""Evidence for answers: a second, independent reading of the pictures, and what it supports."""
