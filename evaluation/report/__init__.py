"""What an evaluation looks like: the figures, the console's table, the page."""
