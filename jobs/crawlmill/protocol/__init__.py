"""How a stage runs: arguments, session, transform, commit, counts, expectations, verdict."""
