"""What the documentation site needs beyond mkdocs."""
