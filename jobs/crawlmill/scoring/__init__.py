"""Scorers and scores: trained, loaded, and their thresholds."""
