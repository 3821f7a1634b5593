"""Word lists that the guards read. Plain data, written for this package; English first."""
