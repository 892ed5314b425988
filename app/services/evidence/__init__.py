"""Evidence for answers: an independent reading of the images by OCR, and the values it supports."""
