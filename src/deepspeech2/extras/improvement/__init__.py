"""A model is trained further on what people corrected, and kept if it is better."""
