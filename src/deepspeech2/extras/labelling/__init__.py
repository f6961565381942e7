"""Correct transcripts of recordings, and keep every change."""
