"""One screen a step."""
