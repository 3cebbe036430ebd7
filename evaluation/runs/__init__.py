"""What training runs left behind: their curves, and runs beside each other."""
