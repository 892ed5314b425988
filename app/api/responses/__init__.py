"""Parts of answers that several dialects share: streams, warnings, cost, headers."""
