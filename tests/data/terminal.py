"""A terminal that answers "what are you" (DA1): terminal.py ANSWER COMMAND...
ANSWER is the list of attributes ("62;4;22"), or "-" for silence. Writes what the
command wrote."""
import os
import pty
import select
import sys
import time

answer, command = sys.argv[1], sys.argv[2:]
pid, fd = pty.fork()
if pid == 0:
    os.execvp(command[0], command)
out, asked, end = b"", False, time.time() + 20
while time.time() < end:
    if not select.select([fd], [], [], 0.1)[0]:
        continue
    try:
        data = os.read(fd, 65536)
    except OSError:
        break
    if not data:
        break
    out += data
    if b"\x1b[c" in out and not asked:
        asked = True
        if answer != "-":
            os.write(fd, ("\x1b[?%sc" % answer).encode())
os.waitpid(pid, 0)
sys.stdout.buffer.write(out)
