"""How good is it, and how sure are we: measures of models, each with its interval.

Judging gets models and a source of data and returns numbers; it writes nothing.
"""
