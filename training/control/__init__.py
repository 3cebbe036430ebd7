"""What stops or saves a run from outside: signals, and flags that all hosts share."""
