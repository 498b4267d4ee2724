"""How good is it, and how sure are we: win rates, accuracies and losses, each with its interval."""
