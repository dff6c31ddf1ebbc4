"""Rows that several stages make alike."""
