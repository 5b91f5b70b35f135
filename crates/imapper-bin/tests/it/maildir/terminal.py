"""Runs a program that wants a terminal, in one: `terminal.py PART KEYS neomutt …`. When it has shown the part, the
keys are pressed. Ends as the program does; prints what it showed."""

import fcntl
import os
import pty
import select
import shutil
import signal
import struct
import sys
import termios
import time

ROWS, COLUMNS = 24, 100
PATIENCE = 60

if not shutil.which(sys.argv[3]):
    sys.exit(f"{sys.argv[3]} is not installed: `cargo xtask ci` installs it")
child, terminal = pty.fork()
if child == 0:
    # It must not start before it knows its size.
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    os.environ["TERM"] = "vt100"
    os.execvp(sys.argv[3], sys.argv[3:])

part, keys = (argument.encode() for argument in sys.argv[1:3])
shown = b""
end = time.monotonic() + PATIENCE
while True:
    readable, _, _ = select.select([terminal], [], [], max(0, end - time.monotonic()))
    if not readable:
        # It waits for a key that nobody presses.
        os.kill(child, signal.SIGKILL)
        break
    try:
        more = os.read(terminal, 65536)
    except OSError:
        # Linux says so at the end.
        break
    if not more:
        break
    shown += more
    if keys and part in shown:
        os.write(terminal, keys)
        keys = b""
_, status = os.waitpid(child, 0)
sys.stdout.buffer.write(shown)
sys.exit(abs(os.waitstatus_to_exitcode(status)))
