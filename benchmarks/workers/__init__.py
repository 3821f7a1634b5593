"""Programs that run in an interpreter of their own and answer in lines of JSON."""
