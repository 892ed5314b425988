"""Image preparation: turns any picture into one that suits the model and reports what was done."""
