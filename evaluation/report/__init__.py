"""Reports of an evaluation: its numbers, the table on the console, the HTML page."""
