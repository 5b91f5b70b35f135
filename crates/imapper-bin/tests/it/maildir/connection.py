"""Connections to the server that the test has started: at one time imapper, at another Dovecot."""

import datetime
import hashlib
import imaplib
import os
import re
import ssl

HOST = os.environ["SITE_HOST"]
PORT = int(os.environ["SITE_PORT"])
USER = os.environ["SITE_USER"]
PASSWORD = os.environ["SITE_PASSWORD"]
CERTIFICATE = os.environ["SITE_CERTIFICATE"]
# The Maildir that is INBOX.
MAILDIR = os.environ["SITE_MAILDIR"]


def logged_in():
    connection = imaplib.IMAP4(HOST, PORT, timeout=30)
    if CERTIFICATE:
        trust = ssl.create_default_context(cafile=CERTIFICATE)
        # The test's address is none that it names.
        trust.check_hostname = False
        ok(connection.starttls(trust))
    ok(connection.login(USER, PASSWORD))
    return connection


def log_out(connection):
    if connection.state == "SELECTED":
        ok(connection.unselect())
    equal(connection.logout()[0], "BYE")


def ok(answer):
    """The data of an answer that must be OK."""
    kind, data = answer
    assert kind == "OK", answer
    return data


def equal(one, other):
    assert one == other, f"\n{one!r}\nis not\n{other!r}"


def quoted(name):
    return f'"{name}"'


def mailboxes(connection):
    """The names that can be selected. A level above one of them need not be a mailbox, and how such a level is
    shown differs."""
    return [name for attributes, name in listed(connection.list()) if not attributes & {"\\Noselect", "\\NonExistent"}]


def subscriptions(connection):
    return [name for _, name in listed(connection.lsub())]


def listed(answer):
    found = []
    for line in ok(answer):
        if line is None:
            continue
        attributes, separator, name = re.fullmatch(rb'\(([^)]*)\) "(.)" (.*)', line).groups()
        equal(separator, b"/")
        found.append((set(attributes.decode().split()), name.decode().strip('"')))
    return sorted(found, key=lambda each: each[1])


def status(connection, name, items):
    [line] = ok(connection.status(quoted(name), f"({items})"))
    return dict(sorted((word.decode(), int(number)) for word, number in re.findall(rb"([A-Z]+) (\d+)", line)))


def messages(connection, name):
    """What a client sees of each message, by its UID. Nothing is changed by looking, not even \\Recent."""
    ok(connection.select(quoted(name), readonly=True))
    if connection.response("EXISTS")[1][-1] == b"0":
        return {}
    data = ok(connection.uid("FETCH", "1:*", "(UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])"))
    found = {}
    for first, last in zip(data[::2], data[1::2], strict=True):
        told = first[0] + last
        date = re.search(rb'INTERNALDATE "([^"]+)"', told)[1].decode().strip()
        words = {word.decode() for word in imaplib.ParseFlags(told)} - {"\\Recent"}
        found[int(re.search(rb"UID (\d+)", told)[1])] = {
            "flags": " ".join(sorted(words)),
            # The same moment may be told in another time zone.
            "date": int(datetime.datetime.strptime(date, "%d-%b-%Y %H:%M:%S %z").timestamp()),
            "size": int(re.search(rb"RFC822.SIZE (\d+)", told)[1]),
            "octets": first[1],
        }
    return found


def digest(octets):
    return hashlib.sha256(octets).hexdigest()[:16]
