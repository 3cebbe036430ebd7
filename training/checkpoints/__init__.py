"""When a run is saved, where, and whether it may go on from there."""
