"""From what is on disk to batches of tensors."""
