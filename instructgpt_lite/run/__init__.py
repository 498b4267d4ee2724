"""A run: stages.py is the paper's path, folder.py what it leaves on disk."""

from instructgpt_lite.run.folder import BASES, RunFolder

__all__ = ["BASES", "RunFolder"]
