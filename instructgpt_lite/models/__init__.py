"""Networks and what they do with tokens: hidden states, sampling, policies, rewards and values."""
