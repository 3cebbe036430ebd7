"""When a run is saved, where, and whether it may be resumed from there."""
