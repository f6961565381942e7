"""Stands in for python, pip, make and others: hands its command line to tests/docs/server.py.

Started as ``python -S -E shim.py SOCKET PROGRAM ARGUMENT ...``; standard streams go along.
"""

import json
import os
import socket
import sys

with socket.socket(socket.AF_UNIX) as line:
    line.connect(sys.argv[1])
    asked = {"argv": sys.argv[2:], "cwd": os.getcwd(), "environment": dict(os.environ)}
    socket.send_fds(line, [len(data := json.dumps(asked).encode()).to_bytes(4, "big")], [0, 1, 2])
    line.sendall(data)
    line.shutdown(socket.SHUT_WR)
    sys.exit(int(line.makefile().read() or 99))
