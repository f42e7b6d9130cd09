"""What a person needs after training."""
