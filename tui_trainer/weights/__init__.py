"""What is in a weight file, and which layers of it fit a model."""
