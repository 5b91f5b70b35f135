"""A server that fails on demand: told so by XTOYBIRD FAULT on a connection of its own, which is spared."""

import imaplib
import time

from connection import HOST, TIMEOUT, TLS_PORT, done, equal, logged_in, no, ok, plain, starttls, tls, trust
from connection import PASSWORD, USER

MESSAGE = b"Subject: news\r\n\r\n" + b"body\r\n" * 1000

control = plain()


def fault(*words):
    ok(control.xatom("XTOYBIRD", "FAULT", *words))


def is_lost(act):
    try:
        act()
    except (imaplib.IMAP4.abort, ConnectionError) as error:
        assert "BYE" not in str(error), error
        return
    raise AssertionError("the connection is still there")


# The connection is lost in the midst of a message, once; whoever comes again gets it.
client = logged_in()
ok(client.append("INBOX", None, None, MESSAGE))
ok(client.select())
fault("DROP", "1000", "ONCE")
is_lost(lambda: client.fetch("1", "(BODY.PEEK[])"))
client = logged_in()
ok(client.select())
equal(ok(client.fetch("1", "(BODY.PEEK[])"))[0][1], MESSAGE)

# Each is lost, the new ones before the greeting, with TLS and without.
fault("DROP", "0")
is_lost(client.noop)
for connect in plain, starttls, tls:
    is_lost(connect)
fault("CLEAR")

# Answers are late; those of the connection that said so are not.
client = logged_in()
fault("DELAY", "700")
start = time.monotonic()
ok(control.noop())
assert time.monotonic() - start < 0.7
start = time.monotonic()
ok(client.noop())
assert time.monotonic() - start >= 0.7
# A client that is less patient gives up.
fault("DELAY", "300000")
client.sock.settimeout(0.2)
try:
    client.noop()
    raise AssertionError("it was answered")
except (TimeoutError, imaplib.IMAP4.abort):
    pass
fault("CLEAR")

# The second SELECT is NO, the first APPEND is BAD: its literal is not asked for, and nothing is kept.
client = logged_in()
fault("ANSWER", "SELECT", "2", '"NO [INUSE] come back later"')
fault("ANSWER", "APPEND", "1", "BAD")
ok(client.select())
equal(no(client.select()), [b"[INUSE] come back later"])
try:
    client.append("INBOX", None, None, MESSAGE)
    raise AssertionError("BAD expected")
except imaplib.IMAP4.error as error:
    assert "told to fail" in str(error), error
equal(ok(client.select()), [b"1"])
ok(client.append("INBOX", None, None, MESSAGE))
equal(ok(client.select()), [b"2"])

# Each octet comes by itself: inside of TLS in a record of its own, of which one is read at once.
fault("SPLIT")
with imaplib.IMAP4_SSL(HOST, TLS_PORT, ssl_context=trust(), timeout=TIMEOUT) as split:
    ok(split.login(USER, PASSWORD))
    ok(split.select())
    equal(ok(split.fetch("1", "(BODY.PEEK[])"))[0][1], MESSAGE)
    split.send(b"x NOOP\r\n")
    answer = b""
    while not answer.endswith(b"\r\n"):
        octet = split.sock.recv(1000)
        equal(len(octet), 1)
        answer += octet
    assert answer.startswith(b"x OK "), answer
ok(client.noop())
fault("CLEAR")
equal(client.logout()[0], "BYE")
equal(control.logout()[0], "BYE")

done()
