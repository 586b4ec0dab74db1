"""The socket guard of conftest.py: no test, and no program a test starts, reaches the network."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable

import pytest


def test_the_network_is_cut(network_attempts: Callable[[], list[str]]) -> None:
    with pytest.raises(OSError, match="network cut"):
        socket.create_connection(("192.0.2.1", 80), timeout=1)
    with pytest.raises(OSError, match="network cut"):
        socket.getaddrinfo("example.org", 80)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s,
        pytest.raises(OSError, match="network cut"),
    ):
        s.sendto(b"x", ("127.0.0.1", 9))
    assert len(network_attempts()) == 3


def test_the_network_is_cut_for_children_too(network_attempts: Callable[[], list[str]]) -> None:
    code = """
import socket
try:
    socket.create_connection(("127.0.0.1", 9))
except OSError:
    pass
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert "127.0.0.1" in " ".join(network_attempts())


@pytest.mark.loopback
def test_loopback_is_open_when_marked() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()
        server.accept()[0].close()
