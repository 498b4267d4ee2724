"""The teacher's desk: assignments, and grades for a folder of submissions."""
