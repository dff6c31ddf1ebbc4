"""Tables: written once, fenced, pinned, recorded and kept whole."""
