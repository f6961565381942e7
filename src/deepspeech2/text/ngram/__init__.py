"""N-gram language models: estimated, pruned, stored and queried."""
