"""Pages that must go: orders, deletions, and the releases that follow."""
