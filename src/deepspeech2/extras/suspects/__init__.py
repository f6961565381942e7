"""Transcripts that are probably not what is said."""
