"""The spine: validate a prompt, prepare its pictures, ask the model once."""
