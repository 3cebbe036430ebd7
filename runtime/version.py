"""The version of this project, also where it is run from a clone without being installed."""

VERSION = "0.1.0.dev0"
