"""Messages: APPEND, SELECT, SEARCH, FETCH, STORE, COPY, EXPUNGE and the UID commands."""

import email
import imaplib
import re
import time

from connection import done, equal, logged_in, no, ok, untagged

SIMPLE = (
    b"Date: Mon, 7 Feb 1994 21:52:25 -0800 (PST)\r\n"
    b"From: Fred Foobar <foobar@Blurdybloop.example>\r\n"
    b"Subject: afternoon meeting\r\n"
    b"To: mooch@owatagu.example\r\n"
    b"Message-Id: <B27397-0100000@Blurdybloop.example>\r\n"
    b"MIME-Version: 1.0\r\n"
    b"Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\r\n"
    b"\r\n"
    b"Hello Joe, do you think we can meet at 3:30 tomorrow?\r\n"
)
PARTS = (
    b"From: =?utf-8?q?J=C3=BCrgen?= <juergen@example.test>\r\n"
    b"To: a@example.test, b@example.test\r\n"
    b"Subject: =?utf-8?b?R3LDvMOfZQ==?=\r\n"
    b"Date: Tue, 8 Feb 2022 09:00:00 +0100\r\n"
    b"MIME-Version: 1.0\r\n"
    b'Content-Type: multipart/mixed; boundary="=_b"\r\n'
    b"\r\n"
    b"preamble\r\n"
    b"--=_b\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: quoted-printable\r\n"
    b"\r\n"
    b"gr=C3=BCn\r\n"
    b"--=_b\r\n"
    b"Content-Type: message/rfc822\r\n"
    b"\r\n" + SIMPLE + b"\r\n"
    b"--=_b\r\n"
    b"Content-Type: application/octet-stream; name=x.bin\r\n"
    b"Content-Disposition: attachment; filename=x.bin\r\n"
    b"Content-Transfer-Encoding: base64\r\n"
    b"\r\n"
    b"AAECAw==\r\n"
    b"--=_b--\r\n"
)
EIGHT_BIT = (
    b"From: x@example.test\r\nSubject: raw \xc3\xa9\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"
    b"Content-Transfer-Encoding: 8bit\r\n\r\ncaf\xe9 " + b"long " * 4000 + b"\r\n"
)
NO_BODY = b"Subject: nothing\r\n\r\n"

connection = logged_in()

# APPEND with flags and a date, with one of them, with neither.
moment = imaplib.Internaldate2tuple(b'INTERNALDATE "17-Jul-1996 02:44:25 -0700"')
ok(connection.append("INBOX", r"(\Seen $Custom)", '"17-Jul-1996 02:44:25 -0700"', SIMPLE))
ok(connection.append("INBOX", r"(\Flagged \Draft)", None, PARTS))
ok(connection.append("INBOX", None, time.mktime(moment), EIGHT_BIT))
ok(connection.append("INBOX", None, None, NO_BODY))
data = no(connection.append("nowhere", None, None, SIMPLE))
assert b"TRYCREATE" in data[0], data

equal(ok(connection.select()), [b"4"])
for name in "FLAGS", "PERMANENTFLAGS", "UIDVALIDITY", "UIDNEXT", "EXISTS", "RECENT", "READ-WRITE":
    data = untagged(connection, name)
    assert data, name
    if name == "UIDNEXT":
        equal(data, [b"5"])
    if name == "PERMANENTFLAGS":
        assert b"\\*" in data[0] and b"\\Deleted" in data[0], data
    if name == "FLAGS":
        assert b"$Custom" in data[0], data


def fetch(which, items, uid=False):
    answer = connection.uid("FETCH", which, items) if uid else connection.fetch(which, items)
    return ok(answer)


def literal(which, item):
    """The one literal of the answer."""
    data = fetch(which, item)
    equal([type(each) for each in data], [tuple, bytes])
    return data[0][1]


def line(which, item):
    """An answer without a literal."""
    data = fetch(which, item)
    equal(len(data), 1)
    return data[0]


# FETCH: macros and single items.
equal(imaplib.Internaldate2tuple(line("1", "(INTERNALDATE)")), moment)
equal(imaplib.Internaldate2tuple(line("3", "(INTERNALDATE)")), moment)
assert set(imaplib.ParseFlags(line("1", "(FLAGS)"))) >= {b"\\Seen", b"$Custom"}
equal(fetch("1:4", "(UID)"), [f"{n} (UID {n})".encode() for n in range(1, 5)])
equal(line("1", "(RFC822.SIZE)"), f"1 (RFC822.SIZE {len(SIMPLE)})".encode())
equal(
    line("1", "(ENVELOPE)"),
    b'1 (ENVELOPE ("Mon, 7 Feb 1994 21:52:25 -0800 (PST)" "afternoon meeting" '
    b'(("Fred Foobar" NIL "foobar" "Blurdybloop.example")) (("Fred Foobar" NIL "foobar" "Blurdybloop.example")) '
    b'(("Fred Foobar" NIL "foobar" "Blurdybloop.example")) ((NIL NIL "mooch" "owatagu.example")) NIL NIL NIL '
    b'"<B27397-0100000@Blurdybloop.example>"))',
)
assert b"=?utf-8?q?J=C3=BCrgen?=" in line("2", "(ENVELOPE)")
structure = line("1", "(BODYSTRUCTURE)").lower()
assert structure.startswith(b'1 (bodystructure ("text" "plain" ("charset" "us-ascii") nil nil "7bit" 55 1'), structure
structure = line("2", "(BODYSTRUCTURE)").lower()
for part in (
    b'("text" "plain" ("charset" "utf-8") nil nil "quoted-printable" 9 1',
    b'("message" "rfc822" nil nil nil "7bit" ',
    b'("application" "octet-stream" ("name" "x.bin") nil nil "base64" 8 ',
    b'("attachment" ("filename" "x.bin"))',
    b'"mixed" ("boundary" "=_b")',
):
    assert part in structure, (part, structure)
assert b'"mixed")' in line("2", "(BODY)").lower()
for macro, words in (
    ("FAST", (b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE")),
    ("ALL", (b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE", b"ENVELOPE")),
    ("FULL", (b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE", b"ENVELOPE", b"BODY (")),
):
    answer = line("1", macro)
    for word in words:
        assert word in answer, (macro, word, answer)

# FETCH: sections. PEEK leaves \Seen alone.
header, text = SIMPLE.split(b"\r\n\r\n", 1)
header += b"\r\n\r\n"
equal(literal("1", "(BODY.PEEK[])"), SIMPLE)
equal(literal("2", "(BODY.PEEK[])"), PARTS)
equal(literal("3", "(BODY.PEEK[])"), EIGHT_BIT)
equal(literal("4", "(BODY.PEEK[])"), NO_BODY)
equal(literal("1", "(BODY.PEEK[HEADER])"), header)
equal(literal("1", "(RFC822.HEADER)"), header)
equal(literal("1", "(BODY.PEEK[TEXT])"), text)
equal(literal("1", "(BODY.PEEK[1])"), text)
equal(literal("2", "(BODY.PEEK[1])"), b"gr=C3=BCn")
equal(literal("2", "(BODY.PEEK[2])"), SIMPLE)
equal(literal("2", "(BODY.PEEK[2.HEADER])"), header)
equal(literal("2", "(BODY.PEEK[2.TEXT])"), text)
equal(literal("2", "(BODY.PEEK[2.1])"), text)
equal(literal("2", "(BODY.PEEK[3])"), b"AAECAw==")
assert b"attachment" in literal("2", "(BODY.PEEK[3.MIME])")
equal(literal("1", "(BODY.PEEK[HEADER.FIELDS (SUBJECT to)])"), b"Subject: afternoon meeting\r\nTo: mooch@owatagu.example\r\n\r\n")
left = literal("1", "(BODY.PEEK[HEADER.FIELDS.NOT (SUBJECT TO)])")
assert b"From: " in left and b"Subject" not in left and b"To: " not in left, left
equal(literal("1", "(BODY.PEEK[]<0.5>)"), SIMPLE[:5])
equal(literal("1", "(BODY.PEEK[TEXT]<6.3>)"), b"Joe")
equal(email.message_from_bytes(literal("2", "(BODY.PEEK[])")).get_payload(2).get_payload(decode=True), b"\0\1\2\3")
assert b"\\Seen" not in line("3", "(FLAGS)")
data = fetch("3", "(BODY[] FLAGS)")
assert data[0][1] == EIGHT_BIT and b"\\Seen" in data[0][0] + data[1], (data[0][0], data[1])
assert b"\\Seen" in line("3", "(FLAGS)")
equal(literal("2", "(RFC822.TEXT)"), PARTS.split(b"\r\n\r\n", 1)[1])
equal(literal("2", "(RFC822)"), PARTS)
# Several in one, and by UID: the UID is told though it was not asked for.
data = fetch("1:2", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])", uid=True)
equal([b"UID " in each[0] + rest for each, rest in zip(data[::2], data[1::2])], [True, True])
equal(ok(connection.uid("FETCH", "77", "(FLAGS)")), [None])


# SEARCH.
def search(*criteria, charset=None):
    found = ok(connection.search(charset, *criteria))[0]
    return [int(number) for number in found.split()]


equal(search("ALL"), [1, 2, 3, 4])
equal(search("SUBJECT", '"afternoon"'), [1])
equal(search("UNSEEN"), [4])
equal(search("FLAGGED", "DRAFT"), [2])
equal(search("KEYWORD", "$Custom"), [1])
equal(search("UNKEYWORD", "$Custom"), [2, 3, 4])
equal(search("BODY", '"3:30 tomorrow"'), [1, 2])
equal(search("TEXT", '"x@example.test"'), [3])
equal(search("OR", "FROM", '"foobar"', "NOT", "SEEN"), [1, 4])
equal(search("(OR (FLAGGED) (KEYWORD $Custom))", "NOT", "(DRAFT)"), [1])
equal(search("BEFORE", "1-Jan-2000"), [1, 3])
equal(search("ON", "17-Jul-1996"), [1, 3])
equal(search("SENTSINCE", "1-Jan-2022"), [2])
equal(search("LARGER", "10000"), [3])
equal(search("SMALLER", str(len(SIMPLE))), [4])
equal(search("HEADER", "Message-Id", '""'), [1])
equal(search("2:3", "UID", "3:*"), [3])
equal(search("NOT", "ALL"), [])
# A literal in UTF-8 finds what the headers and the bodies encode, whatever their charsets.
for word, found in ("grüße", [2]), ("GRÜN", [2]), ("café", [3]), ("nowhere ü", []):
    connection.literal = word.encode()
    equal(search("TEXT", charset="UTF-8"), found)
data = no(connection.search("X-UNKNOWN", "ALL"))
assert b"BADCHARSET" in data[0], data
equal(ok(connection.uid("SEARCH", "SEEN")), [b"1 2 3"])

# STORE.
data = ok(connection.store("4", "+FLAGS", r"(\Answered $Later)"))
assert set(imaplib.ParseFlags(data[0])) >= {b"\\Answered", b"$Later"}, data
data = ok(connection.store("4", "-FLAGS", r"(\Answered)"))
assert set(imaplib.ParseFlags(data[0])) & {b"\\Answered", b"$Later"} == {b"$Later"}, data
data = ok(connection.store("4", "FLAGS", r"(\Seen)"))
equal(set(imaplib.ParseFlags(data[0])) - {b"\\Recent"}, {b"\\Seen"})
equal(ok(connection.store("4", "-FLAGS.SILENT", r"(\Seen)")), [None])
data = ok(connection.uid("STORE", "4", "+FLAGS", r"(\Flagged)"))
assert b"UID 4" in data[0] and b"\\Flagged" in data[0], data

# COPY keeps flags and dates.
ok(connection.create("Copies"))
ok(connection.copy("1:2", "Copies"))
ok(connection.uid("COPY", "3", "Copies"))
data = no(connection.copy("1", "nowhere"))
assert b"TRYCREATE" in data[0], data
equal(ok(connection.status("Copies", "(MESSAGES UNSEEN UIDNEXT)")), [b"Copies (MESSAGES 3 UNSEEN 0 UIDNEXT 4)"])
ok(connection.select("Copies"))
equal(imaplib.Internaldate2tuple(line("1", "(INTERNALDATE)")), moment)
assert set(imaplib.ParseFlags(line("1", "(FLAGS)"))) >= {b"\\Seen", b"$Custom"}
equal([literal(str(n), "(BODY.PEEK[])") for n in (1, 2, 3)], [SIMPLE, PARTS, EIGHT_BIT])

# EXPUNGE: the numbers of those that follow go down (RFC 3501 §7.4.1).
ok(connection.store("1,3", "+FLAGS", r"(\Deleted)"))
gone = [int(number) for number in ok(connection.expunge())]
assert gone in ([1, 2], [3, 1]), gone
equal(fetch("1:*", "(UID)"), [b"1 (UID 2)"])
equal(ok(connection.expunge()), [None])
# CLOSE expunges without a word, UNSELECT does not expunge.
ok(connection.store("1", "+FLAGS", r"(\Deleted)"))
ok(connection.unselect())
equal(ok(connection.status("Copies", "(MESSAGES)")), [b"Copies (MESSAGES 1)"])
ok(connection.select("Copies"))
ok(connection.close())
equal(ok(connection.status("Copies", "(MESSAGES)")), [b"Copies (MESSAGES 0)"])

# A second connection sees what the first does, at its next NOOP.
ok(connection.select())
other = logged_in()
equal(ok(other.select()), [b"4"])
for name in "EXISTS", "FETCH", "EXPUNGE":
    other.response(name)
ok(connection.store("2", "-FLAGS", r"(\Draft)"))
ok(connection.store("1", "+FLAGS", r"(\Deleted)"))
ok(connection.expunge())
ok(connection.append("INBOX", None, None, NO_BODY))
ok(other.noop())
told = untagged(other, "FETCH")
assert any(re.search(rb"\b2 \(.*FLAGS", each) or re.search(rb"\b1 \(.*FLAGS", each) for each in told), told
equal(untagged(other, "EXPUNGE"), [b"1"])
equal(untagged(other, "EXISTS"), [b"4"])
equal([ok(each.fetch("1:*", "(UID)")) for each in (connection, other)], [[b"1 (UID 2)", b"2 (UID 3)", b"3 (UID 4)", b"4 (UID 5)"]] * 2)

# What can't be understood is BAD, and the connection goes on.
for command in ("FETCH", "1", "(NONSENSE)"), ("SEARCH", "NONSENSE"), ("STORE", "1", "FLAGS"), ("FETCH", "0", "FLAGS"):
    try:
        connection.xatom(*command)
        raise AssertionError(f"{command} is understood")
    except imaplib.IMAP4.error as error:
        assert "BAD" in str(error), error
ok(connection.noop())
equal(other.logout()[0], "BYE")
equal(connection.logout()[0], "BYE")

done()
