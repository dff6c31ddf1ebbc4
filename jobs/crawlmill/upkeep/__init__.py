"""What keeps a lake small, readable and whole over months."""
