"""mbsync's Maildir, `near/`, and the server.

    mbsync.py begin NAME   puts messages into a mailbox of the Maildir
    mbsync.py compare      checks that both hold the same: each message, by its octets, with its flags
    mbsync.py change N     changes both, in turn N
"""

import glob
import os
import re
import sys

from connection import digest, equal, log_out, logged_in, mailboxes, messages, ok, quoted

NEAR = "near"
LETTERS = {"\\Draft": "D", "\\Flagged": "F", "$Forwarded": "P", "\\Answered": "R", "\\Seen": "S", "\\Deleted": "T"}
WORK = "Work/Gr&APYA3w-e"


def without_mark(octets):
    """Without the header by which mbsync finds what it has uploaded."""
    header, separator, rest = octets.replace(b"\r\n", b"\n").partition(b"\n\n")
    lines = [line for line in header.split(b"\n") if not line.startswith(b"X-TUID: ")]
    return digest(b"\n".join(lines) + separator + rest)


def paths(name):
    return sorted(glob.glob(os.path.join(NEAR, glob.escape(name), "cur", "*"))) + sorted(
        glob.glob(os.path.join(NEAR, glob.escape(name), "new", "*"))
    )


def octets_at(path):
    with open(path, "rb") as file:
        return file.read()


def near(name):
    """mbsync knows one keyword only."""
    return sorted((without_mark(octets_at(path)), path.partition(":2,")[2]) for path in paths(name))


def far(connection, name):
    found = []
    for message in messages(connection, name).values():
        letters = {LETTERS[word] for word in message["flags"].split() if word in LETTERS}
        found.append((without_mark(message["octets"]), "".join(sorted(letters))))
    return sorted(found)


def add(name, key, octets, letters=""):
    for folder in ["cur", "new", "tmp"]:
        os.makedirs(os.path.join(NEAR, name, folder), exist_ok=True)
    with open(os.path.join(NEAR, name, "cur", f"{key}.near.test:2,{letters}"), "xb") as file:
        file.write(octets)


def begin(name):
    for number in range(5):
        add(name, f"164500000{number}", b"Subject: near %d\n\nfrom the Maildir\n" % number, "FS"[: number % 3])


def compare(connection):
    names = mailboxes(connection)
    for name in names:
        here, there = near(name), far(connection, name)
        assert here == there, (name, sorted(set(here) ^ set(there)))
        assert there or not name.startswith(("INBOX", "Work")), f"{name} is empty"
    folders = {os.path.relpath(path, NEAR) for path, folders, _ in os.walk(NEAR) if "cur" in folders}
    equal(folders, set(names))


def change(connection, turn):
    """Each kind of change on each side, on messages that came from either."""
    for name in ["INBOX", WORK]:
        uids = sorted(messages(connection, name))
        places = {without_mark(message["octets"]): uid for uid, message in messages(connection, name).items()}
        here = sorted(paths(name), key=lambda path: places[without_mark(octets_at(path))])
        equal(len(here), len(uids))
        # The first half is changed there, the second here, and a message of `begin` is in each.
        ok(connection.select(quoted(name)))
        ok(connection.uid("STORE", str(uids[0]), "+FLAGS", f"(\\Answered by-turn-{turn})"))
        ok(connection.uid("STORE", str(uids[1]), "FLAGS", "(\\Seen \\Draft)"))
        ok(connection.uid("STORE", str(uids[2]), "+FLAGS.SILENT", "(\\Deleted)"))
        ok(connection.uid("EXPUNGE", str(uids[2])))
        ok(connection.append(quoted(name), "(\\Flagged)", None, b"Subject: far %d\r\n\r\nfrom there\r\n" % turn))
        flagged, unflagged, gone = here[-1], here[-2], here[-3]
        os.rename(flagged, re.sub(r"(:2,.*)?$", ":2,FRS", flagged, count=1))
        os.rename(unflagged, re.sub(r"(:2,.*)?$", ":2,", unflagged, count=1))
        os.remove(gone)
        add(name, f"164600000{turn}", b"Subject: near again %d\n\nfrom here\n" % turn, "R")
    add(f"Made{turn}", f"164700000{turn}", b"Subject: in a new mailbox\n\n\n")
    ok(connection.create(f"Born{turn}"))
    ok(connection.append(f"Born{turn}", None, None, b"Subject: in a new mailbox\r\n\r\n"))


match sys.argv[1:]:
    case ["begin", name]:
        begin(name)
    case ["compare"]:
        connection = logged_in()
        compare(connection)
        log_out(connection)
    case ["change", turn]:
        connection = logged_in()
        change(connection, int(turn))
        log_out(connection)
    case _:
        sys.exit(__doc__)
print("all is as expected")
