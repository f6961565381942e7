"""Long recordings and their texts become a corpus of short utterances."""
