"""What an evaluation looks like: its numbers, the table on the console, the page."""
