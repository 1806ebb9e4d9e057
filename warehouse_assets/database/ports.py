"""TCP ports of 127.0.0.1: which are free to listen on. Who listens there is not decided here."""

import random
import socket

from warehouse_assets.errors import UserError


def is_free(port: int) -> bool:
    """Tell whether a port can be listened on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def choose(remembered: int | None) -> int:
    """Return the port remembered from last time if it is free, else any that is.

    Raises:
        UserError: 200 ports tried at random were all taken.
    """
    if remembered and is_free(remembered):
        return remembered
    chooser = random.SystemRandom()
    for _ in range(200):
        # below the range that the kernel gives to outgoing connections (from 32768)
        if is_free(port := chooser.randrange(15000, 32000)):
            return port
    raise UserError("No free TCP port was found on 127.0.0.1; name one with WAREHOUSE_PORT.")
