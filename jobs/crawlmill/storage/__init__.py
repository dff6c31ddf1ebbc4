"""Files of a lake, on a disk or in a bucket."""
