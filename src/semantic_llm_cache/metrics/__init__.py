"""What is counted, and what it saved."""
