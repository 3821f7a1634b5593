"""The one path that every call takes, and the parts that it is made of."""
