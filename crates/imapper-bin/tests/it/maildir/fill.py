"""Makes 50 messages in 4 mailboxes: nested ones, one under a level that is no mailbox, names that are not ASCII."""

import os

from connection import MAILDIR, equal, log_out, logged_in, mailboxes, messages, ok, quoted, status

MAILBOXES = {"INBOX": 20, "Work": 12, "Work/Gr&APYA3w-e": 10, "&U,BTFw-/&ZeVnLIqe-": 8}
SYSTEM = ["\\Seen", "\\Answered", "\\Flagged", "\\Draft", "\\Deleted"]
KEYWORDS = ["$Forwarded", "Travel", "to-do", "$label1", "NonJunk"]
EXPUNGED = 7


def body(number):
    """One of the kinds of messages that are met with."""
    return [
        b"plain\r\n",
        b"",
        b"no newline at the end",
        "na\xefve caf\xe9\r\nπ ≈ 3 🦜\r\n".encode(),
        b"na\xefve caf\xe9\r\n",
        b"a line of more than any program expects " * 300 + b"\r\n",
        b".\r\nFrom the start\r\n\r\n)\r\n{10}\r\n* OK\r\n\r\n\r\n",
    ][number % 7]


def message(number, name):
    header = f"From: <polly@example.test>\r\nMessage-ID: <{number}.{name}@example.test>\r\nSubject: message {number}\r\n"
    return header.encode() + b"\r\n" + body(number)


def flags(number):
    """All of them, several at once, and none."""
    system = [word for place, word in enumerate(SYSTEM) if number >> place & 1]
    keywords = [word for place, word in enumerate(KEYWORDS) if (number * 7 + 3) % 32 >> place & 1]
    return system + keywords if number % 6 else []


def drop(name, octets):
    """As a delivery agent does that knows nothing of us."""
    path = os.path.join(MAILDIR, "tmp", name)
    with open(path, "xb") as file:
        file.write(octets)
    os.chmod(path, 0o666)
    os.rename(path, os.path.join(MAILDIR, "new", name))


connection = logged_in()
for name, count in MAILBOXES.items():
    if name != "INBOX":
        ok(connection.create(quoted(name)))
    for number in range(count):
        date = f'"{number % 28 + 1:2}-Feb-2022 09:{number:02}:00 +0130"'
        ok(connection.append(quoted(name), f"({' '.join(flags(number))})", date, message(number, name)))

ok(connection.select("INBOX"))
ok(connection.uid("STORE", str(EXPUNGED), "+FLAGS.SILENT", "(\\Deleted)"))
ok(connection.uid("EXPUNGE", str(EXPUNGED)))
ok(connection.unselect())

drop("1644000000.M1P1.mx.example.test", b"Subject: dropped\n\nlines end as on disk\n")
for name in ["Work", "&U,BTFw-/&ZeVnLIqe-"]:
    ok(connection.subscribe(quoted(name)))

equal(set(mailboxes(connection)), set(MAILBOXES))
equal(sum(status(connection, name, "MESSAGES")["MESSAGES"] for name in MAILBOXES), 50)
there = messages(connection, "INBOX")
equal(sorted(there), [uid for uid in range(1, 22) if uid != EXPUNGED])
assert there[21]["octets"].startswith(b"Subject: dropped\r\n"), there[21]
equal(there[2]["flags"], " ".join(sorted(flags(1))))
words = {word for name in MAILBOXES for each in messages(connection, name).values() for word in each["flags"].split()}
equal(words, {*SYSTEM, *KEYWORDS})
log_out(connection)
print("all is as expected")
