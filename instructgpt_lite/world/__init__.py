"""The tiny world: facts and rumours, prompts and people, and a judge who knows all."""
