"""Each kind of change there is, in the first turn or the second: `change.py 1`."""

import re
import sys

from connection import equal, log_out, logged_in, mailboxes, messages, ok, quoted, status, subscriptions

TURN = int(sys.argv[1])
# The second turn brings back what the first has renamed.
WORK, RENAMED = ("Work", "B&APw-ro") if TURN == 1 else ("B&APw-ro", "Work")
CHILD = "Gr&APYA3w-e"
ASIAN = "&U,BTFw-/&ZeVnLIqe-"
# None of the server that was here before.
KEYWORD = f"new-{TURN}"
DATE = '"29-Feb-2024 23:59:58 -0800"'
MESSAGE = b"Subject: appended\r\n\r\nin turn %d\r\n" % TURN


def copied(connection):
    """Where the last COPY or MOVE has put its messages: RFC 4315's COPYUID."""
    [code] = [code for code in connection.response("COPYUID")[1] if code]
    validity, sources, targets = code.decode().split()
    return int(validity), sources, targets


def first(connection, name, count):
    return sorted(messages(connection, name))[:count]


connection = logged_in()
inbox = first(connection, "INBOX", 6)
ok(connection.select())
ok(connection.uid("STORE", str(inbox[0]), "+FLAGS", f"(\\Flagged {KEYWORD} Travel)"))
ok(connection.uid("STORE", str(inbox[1]), "-FLAGS.SILENT", "(\\Seen \\Draft Travel to-do)"))
ok(connection.uid("STORE", str(inbox[2]), "FLAGS", f"(\\Answered {KEYWORD})"))
ok(connection.uid("STORE", str(inbox[3]), "FLAGS", "()"))

# The last one, too, goes, so that UIDNEXT is not to be had from what is there.
last = max(messages(connection, "INBOX"))
ok(connection.select())
for uid in [inbox[3], last]:
    ok(connection.uid("STORE", str(uid), "+FLAGS.SILENT", "(\\Deleted)"))
    ok(connection.uid("EXPUNGE", str(uid)))

moved = messages(connection, "INBOX")[inbox[4]]
ok(connection.select())
ok(connection.uid("MOVE", f"{inbox[4]},{inbox[5]}", quoted(WORK)))
moved_to = copied(connection)
work = first(connection, WORK, 3)
ok(connection.select(quoted(WORK), readonly=True))
ok(connection.uid("COPY", f"{work[0]}:{work[2]}", quoted(ASIAN)))
copied_to = copied(connection)
ok(connection.unselect())

for name in ["INBOX", f"{WORK}/{CHILD}"]:
    ok(connection.append(quoted(name), f"(\\Seen $label1 {KEYWORD})", DATE, MESSAGE))

ok(connection.create(f"Neu{TURN}/Unter/Unter"))
ok(connection.append(f"Neu{TURN}/Unter/Unter", None, DATE, MESSAGE))
ok(connection.create(f"Empty{TURN}"))
ok(connection.create(f"Gone{TURN}"))
ok(connection.append(f"Gone{TURN}", None, DATE, MESSAGE))
ok(connection.delete(f"Gone{TURN}"))

validity = status(connection, f"{WORK}/{CHILD}", "UIDVALIDITY")
ok(connection.unsubscribe(quoted(WORK)))
ok(connection.rename(quoted(WORK), quoted(RENAMED)))
ok(connection.subscribe(quoted(RENAMED)))
ok(connection.subscribe(f"Neu{TURN}/Unter/Unter"))

# And so it is.
names = mailboxes(connection)
assert {RENAMED, f"{RENAMED}/{CHILD}", f"Empty{TURN}", f"Neu{TURN}/Unter/Unter"} <= set(names), names
assert not {WORK, f"{WORK}/{CHILD}", f"Gone{TURN}"} & set(names), names
made = [f"Neu{turn}/Unter/Unter" for turn in range(1, TURN + 1)]
equal(subscriptions(connection), sorted([ASIAN, RENAMED, *made]))
equal(status(connection, f"{RENAMED}/{CHILD}", "UIDVALIDITY"), validity)
there = messages(connection, "INBOX")
assert {"\\Flagged", KEYWORD, "Travel"} <= set(there[inbox[0]]["flags"].split()), there[inbox[0]]
assert not {"\\Seen", "\\Draft", "Travel", "to-do"} & set(there[inbox[1]]["flags"].split()), there[inbox[1]]
equal(there[inbox[2]]["flags"], f"\\Answered {KEYWORD}")
assert not {inbox[3], inbox[4], inbox[5], last} & set(there), there.keys()
appended = there[max(there)]
assert max(there) > last, (there.keys(), last)
equal(appended, {"flags": f"$label1 \\Seen {KEYWORD}", "date": 1709279998, "size": len(MESSAGE), "octets": MESSAGE})
for (validity, sources, targets), name, count in [(moved_to, RENAMED, 2), (copied_to, ASIAN, 3)]:
    equal(status(connection, name, "UIDVALIDITY")["UIDVALIDITY"], validity)
    uids = sorted(messages(connection, name))[-count:]
    equal(targets, f"{uids[0]}:{uids[-1]}")
there = messages(connection, RENAMED)
equal(there[sorted(there)[-2]], moved)
log_out(connection)
print("all is as expected")
