"""Answers to questions: why a page went where it went, what a rule did, what a change would do."""
