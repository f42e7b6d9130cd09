"""Train an image classifier in PyTorch, from the terminal."""

__version__ = "0.1.0"
