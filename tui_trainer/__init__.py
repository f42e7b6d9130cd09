"""Train an image classifier or a numeric regressor in PyTorch, from the terminal."""

__version__ = "0.1.0"
