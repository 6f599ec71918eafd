"""What turns cost."""
