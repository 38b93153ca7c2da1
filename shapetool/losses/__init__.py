"""What training makes small, as pure functions of tensors."""
