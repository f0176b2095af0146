"""One network that holds all architectures of a space: its weights, and scores by them."""
