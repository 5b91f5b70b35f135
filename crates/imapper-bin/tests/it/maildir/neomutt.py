"""What NeoMutt works on.

    neomutt.py fill     makes mailboxes, and three messages in INBOX; and an mbox file
    neomutt.py check    checks what it has done over IMAP: see neomutt.rs
    neomutt.py beside   the same for what it has done in the Maildir itself
"""

import re
import sys

from connection import equal, log_out, logged_in, messages, ok, quoted

DATE = '"10-Feb-2022 10:00:00 +0000"'
ARCHIVE = "Archiv/&ANw-bersicht"
LOCAL = b"""From joe@example.test Thu Feb 10 10:00:00 2022
From: joe@example.test
Date: Thu, 10 Feb 2022 10:00:00 +0000
Subject: local

out of an mbox file

"""


def octets(number):
    return b"From: joe@example.test\r\nSubject: message %d\r\n\r\nbody %d\r\n" % (number, number)


def flags(mailbox):
    return [set(message["flags"].split()) for _, message in sorted(mailbox.items())]


def fill(connection):
    ok(connection.create("Archiv"))
    ok(connection.create(quoted(ARCHIVE)))
    for number in range(1, 4):
        ok(connection.append("INBOX", "(keyword)" if number == 1 else None, DATE, octets(number)))
    with open("local.mbox", "wb") as file:
        file.write(LOCAL)


def check(connection):
    inbox, archive = messages(connection, "INBOX"), messages(connection, ARCHIVE)
    # The first was flagged, the third deleted.
    equal(list(inbox), [1, 2])
    equal([message["octets"] for message in inbox.values()], [octets(1), octets(2)])
    assert {"\\Flagged", "keyword"} <= flags(inbox)[0] and "\\Flagged" not in flags(inbox)[1], flags(inbox)
    # The second was copied, and what was in the file uploaded.
    equal(list(archive), [1, 2])
    equal(archive[1]["octets"], octets(2))
    uploaded = archive[2]["octets"]
    assert b"Subject: local\r\n" in uploaded and uploaded.endswith(b"\r\n\r\nout of an mbox file\r\n"), uploaded


def beside(connection):
    inbox, archive = messages(connection, "INBOX"), messages(connection, ARCHIVE)
    # The first was flagged, the third deleted; the new one has a UID that nothing had.
    equal(list(inbox), [1, 2, 4])
    equal([message["octets"] for message in inbox.values()][:2], [octets(1), octets(2)])
    assert {"\\Flagged", "keyword"} <= flags(inbox)[0], flags(inbox)
    assert not any("\\Flagged" in each for each in flags(inbox)[1:]), flags(inbox)
    new = inbox[4]["octets"]
    assert b"Subject: local\r\n" in new and new.endswith(b"\r\n\r\nout of an mbox file\r\n"), new
    # The second was copied.
    [copied] = archive.values()
    # NeoMutt adds a header that it likes: the octets of the body on the disk.
    equal(re.sub(rb"Content-Length: [78]\r\n", b"", copied["octets"]), octets(2))


connection = logged_in()
match sys.argv[1:]:
    case ["fill"]:
        fill(connection)
    case ["check"]:
        check(connection)
    case ["beside"]:
        beside(connection)
    case _:
        sys.exit(__doc__)
log_out(connection)
print("all is as expected")
