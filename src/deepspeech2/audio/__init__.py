"""Recorded and synthesised speech as samples."""
