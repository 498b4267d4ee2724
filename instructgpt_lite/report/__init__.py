"""The page of a run and its table for the terminal."""
