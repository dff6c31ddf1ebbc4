"""Named releases of the corpus: made, described, exported."""
