"""Networks and what they do with tokens: sampling, policies, rewards, values."""
