"""The paper's three steps, each a generator that changes its model in place and yields a row per step."""
