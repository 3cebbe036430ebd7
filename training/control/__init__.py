"""What ends or saves a run from outside: signals, and hosts that agree."""
