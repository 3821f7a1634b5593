"""The one path that every call takes, and its parts."""
