"""What a table must hold: its contract, what the contract makes of it, and how it is judged."""
