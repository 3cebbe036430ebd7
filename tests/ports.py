"""Ports for servers of tests."""

import random
import socket


def free_port() -> int:
    """Returns a port of this machine that nobody listens at.

    Below those that Linux gives to connections (32768 and more): who tries again and again to reach
    such a port before its server is there is one day given that very port, and meets himself.
    """
    while True:
        port = random.SystemRandom().randrange(16384, 32768)
        try:
            with socket.create_server(("", port)):
                return port
        except OSError:
            continue
