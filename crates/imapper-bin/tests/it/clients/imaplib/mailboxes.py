"""Mailboxes: CREATE, RENAME, DELETE, LIST, LSUB, SUBSCRIBE, STATUS, NAMESPACE, names in modified UTF-7."""

import imaplib
import re

from connection import done, equal, logged_in, no, ok, untagged


def listed(answer):
    """Names with their attributes."""
    names = {}
    for line in ok(answer):
        if line is None:
            continue
        attributes, separator, name = re.fullmatch(rb'\(([^)]*)\) "(.)" (.*)', line).groups()
        equal(separator, b"/")
        names[name.decode().strip('"')] = set(attributes.decode().split())
    return names


connection = logged_in()
equal(set(listed(connection.list())), {"INBOX"})
equal(ok(connection.namespace()), [b'(("" "/")) NIL NIL'])

# CREATE, with parents that nobody made, and a name to quote.
ok(connection.create("Work"))
ok(connection.create("Lists/imap/protocol"))
ok(connection.create('"two words"'))
ok(connection.create("INBOX/child"))
data = no(connection.create("Work"))
assert b"ALREADYEXISTS" in data[0], data
no(connection.create("inbox"))
names = listed(connection.list())
equal(
    set(names),
    {"INBOX", "INBOX/child", "Work", "Lists", "Lists/imap", "Lists/imap/protocol", "two words"},
)
assert "\\HasChildren" in names["Lists"] and "\\HasNoChildren" in names["Work"], names

# Patterns.
equal(set(listed(connection.list('""', "%"))), {"INBOX", "Work", "Lists", "two words"})
equal(set(listed(connection.list("Lists/", "%"))), {"Lists/imap"})
equal(set(listed(connection.list('""', "inbox"))), {"INBOX"})
equal(set(listed(connection.list('""', "L*l"))), {"Lists/imap/protocol"})
equal(listed(connection.list('""', "nothing")), {})
# RFC 3501 §6.3.8: an empty pattern asks for the separator.
equal(len(listed(connection.list('""', '""'))), 1)

# Subscriptions outlive the mailbox, and are not made by CREATE.
equal(listed(connection.lsub()), {})
ok(connection.subscribe("Work"))
ok(connection.subscribe("Lists/imap/protocol"))
equal(set(listed(connection.lsub())), {"Work", "Lists/imap/protocol"})
# RFC 3501 §6.3.9: "%" shows a parent with \Noselect when only a child of it is subscribed.
names = listed(connection.lsub('""', "%"))
equal(set(names), {"Work", "Lists"})
assert "\\Noselect" in names["Lists"] and "\\Noselect" not in names["Work"], names
ok(connection.unsubscribe("Work"))
equal(set(listed(connection.lsub())), {"Lists/imap/protocol"})

# RENAME takes the children along.
ok(connection.rename("Lists", "Groups"))
names = set(listed(connection.list()))
assert {"Groups", "Groups/imap", "Groups/imap/protocol"} <= names and "Lists" not in names, names
data = no(connection.rename("nowhere", "elsewhere"))
assert b"NONEXISTENT" in data[0], data
data = no(connection.rename("Work", "Groups"))
assert b"ALREADYEXISTS" in data[0], data

# RENAME of INBOX moves its messages and leaves an empty INBOX (RFC 3501 §6.3.5).
ok(connection.append("INBOX", None, None, b"Subject: to be moved\r\n\r\nbody\r\n"))
ok(connection.rename("INBOX", "old-inbox"))
equal(ok(connection.status("INBOX", "(MESSAGES)")), [b"INBOX (MESSAGES 0)"])
equal(ok(connection.status("old-inbox", "(MESSAGES UNSEEN)")), [b"old-inbox (MESSAGES 1 UNSEEN 1)"])

# DELETE.
ok(connection.delete("Work"))
data = no(connection.delete("Work"))
assert b"NONEXISTENT" in data[0], data
no(connection.delete("INBOX"))
assert "Work" not in listed(connection.list())
data = no(connection.select("Work"))
assert b"NONEXISTENT" in data[0], data
equal(connection.state, "AUTH")

# STATUS of everything.
status = ok(connection.status('"two words"', "(MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN)"))[0]
assert re.fullmatch(
    rb'"two words" \(MESSAGES 0 RECENT 0 UIDNEXT 1 UIDVALIDITY [1-9][0-9]* UNSEEN 0\)', status
), status
no(connection.status("nowhere", "(MESSAGES)"))

# Modified UTF-7 (RFC 3501 §5.1.3).
for name in "Entw&APw-rfe", "&U,BTFw-", "Fish&-Chips", "&2D3cTA-":
    ok(connection.create(f'"{name}"'))
    ok(connection.select(f'"{name}"'))
    ok(connection.append(f'"{name}"', None, None, b"Subject: x\r\n\r\nx\r\n"))
    ok(connection.subscribe(f'"{name}"'))
    assert name in listed(connection.list()) and name in listed(connection.lsub()), name
    ok(connection.rename(f'"{name}"', f'"{name} 2"'))
    assert name not in listed(connection.list()) and f"{name} 2" in listed(connection.list()), name
    ok(connection.close())
    ok(connection.delete(f'"{name} 2"'))
# Not UTF-7; ASCII in base64; base64 that is not closed; 8-bit octets.
for name in "Fish&Chips", "&AGE-", "&U,BTFw":
    try:
        kind, data = connection.create(f'"{name}"')
        equal(kind, "NO")
    except imaplib.IMAP4.error as error:
        assert "BAD" in str(error), error
    assert name not in listed(connection.list())

# A name as a literal.
name = 'quote " and backslash \\'
connection.literal = name.encode()
ok(connection._simple_command("CREATE"))
# The answer may be quoted or a literal.
for line in ok(connection.list('""', "quote*")):
    if isinstance(line, tuple):
        equal(line[1], name.encode())
    elif line:
        assert line.endswith(rb'"quote \" and backslash \\"'), line

# CLOSE and UNSELECT leave the mailbox.
ok(connection.select("old-inbox"))
ok(connection.check())
ok(connection.close())
ok(connection.select("old-inbox"))
ok(connection.unselect())
equal(connection.state, "AUTH")

# EXAMINE is read-only.
ok(connection.select("old-inbox", readonly=True))
assert untagged(connection, "READ-ONLY") != []
no(connection.store("1", "+FLAGS", r"(\Seen)"))
equal(connection.logout()[0], "BYE")

done()
