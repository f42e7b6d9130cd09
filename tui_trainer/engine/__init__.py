"""The training loop and its parts. Nothing here draws, prints or logs."""
