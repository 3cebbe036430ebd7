"""The commands of main.py: each builds a config from its flags and calls a package."""
