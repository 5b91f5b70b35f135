"""IDLE (RFC 2177) by hand, for imaplib knew it late: what one connection does is told to the other."""

from connection import done, equal, logged_in, ok

MESSAGE = b"Subject: news\r\n\r\nbody\r\n"

waiting, acting = logged_in(), logged_in()
assert "IDLE" in waiting.capabilities
ok(waiting.select())
ok(acting.select())


def told():
    line = waiting.readline()
    assert line.endswith(b"\r\n"), line
    return line[:-2]


def told_until(wanted):
    """What comes up to that; the order among untagged responses is the server's."""
    lines = []
    while wanted not in lines:
        lines.append(told())
        assert len(lines) < 10, lines
    return lines


for turn in range(3):
    tag = b"idle%d" % turn
    waiting.send(tag + b" IDLE\r\n")
    # What is left over from the end of the turn before may come first.
    line = told()
    while line.startswith(b"* "):
        line = told()
    assert line.startswith(b"+ "), line

    # The answer to APPEND has come before we read, so that IDLE had its chance; the read has a time limit.
    ok(acting.append("INBOX", None, None, MESSAGE))
    told_until(b"* %d EXISTS" % (turn + 1))
    ok(acting.noop())
    ok(acting.store(str(turn + 1), "+FLAGS", r"(\Flagged)"))
    line = told()
    while not (line.startswith(b"* %d FETCH" % (turn + 1)) and b"\\Flagged" in line):
        assert line.startswith(b"* "), line
        line = told()

    waiting.send(b"DONE\r\n")
    line = told()
    while line.startswith(b"* "):
        line = told()
    assert line.startswith(tag + b" OK"), line

# Removal is told too; and the connection is as good as before.
waiting.send(b"last IDLE\r\n")
line = told()
while line.startswith(b"* "):
    line = told()
assert line.startswith(b"+ "), line
ok(acting.store("2", "+FLAGS.SILENT", r"(\Deleted)"))
equal(ok(acting.expunge()), [b"2"])
told_until(b"* 2 EXPUNGE")
waiting.send(b"DONE\r\n")
line = told()
while line.startswith(b"* "):
    line = told()
assert line.startswith(b"last OK"), line
equal(ok(waiting.fetch("1:*", "(UID)")), [b"1 (UID 1)", b"2 (UID 3)"])
equal(waiting.logout()[0], "BYE")
equal(acting.logout()[0], "BYE")

done()
