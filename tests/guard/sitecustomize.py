"""The socket guard: under it, a process and the Python programs it starts reach no network.

Python imports a module of this name at start-up, so putting this folder first on PYTHONPATH (as
tests/conftest.py does) arms every child: batch workers, notebook kernels, the command line. It is
an audit hook: it sees whatever goes through Python's sockets, and nothing can take it off again.
It does not see what ffmpeg or a C extension does by itself; tests/bare_debian.sh cuts that too.

What was tried is appended to the file that FORENSICS_GUARD_LOG names, because code that catches
OSError would otherwise hide it: conftest.py fails the test during which the file grew.
FORENSICS_GUARD_LOOPBACK=1 lets loopback through.
"""

import ipaddress
import os
import socket
import sys

_GUARDED = frozenset(
    [
        "socket.connect",
        "socket.sendto",
        "socket.sendmsg",
        "socket.getaddrinfo",
        "socket.gethostbyname",
        "socket.gethostbyaddr",
        "socket.getnameinfo",
    ]
)


class NetworkCut(OSError):
    """Something under test tried to reach another machine."""


def _is_loopback(host: object) -> bool:
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if host in (None, "", "localhost"):
        return True
    try:
        address = ipaddress.ip_address(str(host).partition("%")[0])
    except ValueError:
        return False
    # 0.0.0.0 and :: are what a server that listens looks up; connecting to them means this machine
    # too
    return address.is_loopback or address.is_unspecified


def _guard(event: str, args: tuple[object, ...]) -> None:
    if event not in _GUARDED:
        return
    where = args[0]
    if isinstance(where, socket.socket) or hasattr(where, "family"):
        if getattr(where, "family", None) == socket.AF_UNIX:
            return
        where = args[1]
        if where is None:  # sendmsg on a socket that is connected already
            return
    host = where[0] if isinstance(where, tuple) and where else where
    if os.environ.get("FORENSICS_GUARD_LOOPBACK") == "1" and _is_loopback(host):
        return
    log = os.environ.get("FORENSICS_GUARD_LOG")
    if log:
        line = f"{event} {where!r} in process {os.getpid()}: {' '.join(sys.orig_argv)[:200]}\n"
        fd = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(fd, line.replace("\n", " ").encode("utf-8", "backslashreplace") + b"\n")
        finally:
            os.close(fd)
    raise NetworkCut(f"the tests run with the network cut: {event} {where!r}")


sys.addaudithook(_guard)
