"""Where keys are kept, and whose tokens are trusted."""
