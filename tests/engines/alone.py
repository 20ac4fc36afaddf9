"""Runs a command in a network namespace of its own, where there is nothing but loopback.

A Milvus listens on all addresses: here nobody else can reach it. Where the system allows no namespace, the command
runs without one, and this says so.
"""

import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys

_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 1


def main() -> None:
    command = sys.argv[1:]
    if command[0] == "--inside":
        _loopback_up()
        os.execvp(command[1], command[1:])
    unshare = shutil.which("unshare")
    for how in (["-n"], ["-rn"]):
        if unshare and subprocess.run([unshare, *how, "true"], capture_output=True, check=False).returncode == 0:
            os.execv(unshare, [unshare, *how, sys.executable, __file__, "--inside", *command])
    sys.stderr.write("no network namespace can be made here: the servers of these tests listen on all addresses\n")
    os.execvp(command[0], command)


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        asked = struct.pack("16sh", b"lo", 0)
        flags = struct.unpack("16sh", fcntl.ioctl(one, _GET_FLAGS, asked))[1]
        fcntl.ioctl(one, _SET_FLAGS, struct.pack("16sh", b"lo", flags | _UP))


if __name__ == "__main__":
    main()
