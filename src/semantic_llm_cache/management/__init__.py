"""What is done to a whole cache: moving, warming, removing, judging entries."""
