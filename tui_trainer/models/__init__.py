"""A name to a model."""
