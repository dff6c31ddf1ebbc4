"""Trying rules on a sample of documents in seconds: an expression over signals, a regular expression, another limit, another recipe."""
