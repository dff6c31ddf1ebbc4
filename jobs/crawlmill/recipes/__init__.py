"""A recipe: read, checked, and told what is wrong with it."""
