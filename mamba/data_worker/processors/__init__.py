"""What happens to blocks on their way."""
