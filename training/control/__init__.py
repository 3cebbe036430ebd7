"""What stops or saves a run from outside: signals, and flags reduced over all hosts."""
