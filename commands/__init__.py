"""The commands of main.py: what flags each takes, the config made of them, what it calls."""
