"""Work on a whole cache: copy, export, warm, remove and judge entries."""
