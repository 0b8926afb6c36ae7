"""One request: authenticate, parse, decide, attempt, answer, settle."""
