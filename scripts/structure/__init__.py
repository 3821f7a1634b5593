"""How the package is built: its imports and functions, read from the source without importing it."""
