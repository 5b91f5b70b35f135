"""A Maildir and the server as mbsync's tests see them.

    mail.py fill      makes 200 messages in 3 mailboxes: one half in the Maildir, one half on the server
    mail.py compare   checks that both hold the same: each message, by its octets, with its flags
    mail.py server    prints all that a client sees on the server
    mail.py flag      changes flags, in the Maildir and on the server
    mail.py remove    deletes messages, in the Maildir and on the server
"""

import email.message
import email.policy
import glob
import hashlib
import imaplib
import mailbox
import os
import re
import sys

MAILBOXES = {"INBOX": 90, "Archive": 70, "Gem&APw-se": 40}
FOLDER = "maildir"
FLAGS = {"D": "\\Draft", "F": "\\Flagged", "R": "\\Answered", "S": "\\Seen", "T": "\\Deleted"}


def body(number):
    """One of the kinds of messages that are met with; lines end in LF."""
    kind = number % 9
    if kind == 0:
        return b"\n"
    if kind == 1:
        return b"Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: 8bit\n\nna\xefve caf\xe9\n"
    if kind == 2:
        return "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nπ ≈ 3 🦜\n".encode()
    if kind == 3:
        return b"\n" + b"a line of more than any program expects " * 700 + b"\n"
    if kind == 4:
        message = email.message.EmailMessage(email.policy.default)
        message.set_content("plain, grün\n")
        message.add_alternative("<p>grün</p>\n", subtype="html")
        message.add_attachment(bytes(range(256)) * 40, maintype="application", subtype="octet-stream", filename="ä.bin")
        # Not by chance, so that it can be made again to compare.
        for place, part in enumerate(part for part in message.walk() if part.is_multipart()):
            part.set_boundary(f"=_{place}_{number}")
        return message.as_bytes()
    if kind == 5:
        inner = b"Subject: inner\nContent-Type: text/plain\n\ninside\n"
        return b"Content-Type: message/rfc822\n\n" + inner
    if kind == 6:
        # No newline at the end, lines that look like others' delimiters.
        return b"\n.\nFrom the start\n\n)\n{10}\n* OK\n--\nno newline"
    if kind == 7:
        return b"Subject: folded\n over\n\tlines\nX-Empty:\nContent-Type: multipart/mixed; boundary=never\n\nno boundary\n"
    return b"Content-Type: text/plain; charset=nonsense\nContent-Transfer-Encoding: base64\n\nnot base64 !!!\n\n\n\n"


def message(number, name):
    header = f"Message-ID: <{number}.{name}@example.test>\nFrom: =?utf-8?q?J=C3=BCrgen?= <j@example.test>\n"
    header += f"Date: Tue, {number % 28 + 1} Feb 2022 09:00:00 +0100\nSubject: message {number}\n"
    return header.encode() + body(number)


def flags(number):
    return "".join(letter for place, letter in enumerate("FRS") if number >> place & 1)


def connect():
    connection = imaplib.IMAP4("127.0.0.1", int(os.environ["SITE_PLAIN_PORT"]), timeout=30)
    connection.login(os.environ["SITE_USER"], os.environ["SITE_PASSWORD"])
    return connection


def ok(answer):
    kind, data = answer
    assert kind == "OK", answer
    return data


def maildir(name):
    return mailbox.Maildir(os.path.join(FOLDER, name), factory=None, create=True)


def fill():
    os.mkdir(FOLDER)
    connection = connect()
    for name, count in MAILBOXES.items():
        here = maildir(name)
        # mbsync is to make the third on the server, by itself.
        there = count // 2 if name != "Gem&APw-se" else 0
        if there and name != "INBOX":
            ok(connection.create(name))
        for number in range(count):
            if number < there:
                words = " ".join(FLAGS[letter] for letter in flags(number))
                octets = message(number, name).replace(b"\n", b"\r\n")
                ok(connection.append(name, f"({words})", f'"{number % 28 + 1:2}-Feb-2022 09:00:00 +0100"', octets))
            else:
                # By hand, for the class would write the message anew.
                with open(os.path.join(FOLDER, name, "cur", f"{number}.made.test:2,{flags(number)}"), "wb") as file:
                    file.write(message(number, name))
        assert len(here) == count - there
    connection.logout()


def digest(octets):
    """Without the header by which mbsync finds what it has copied."""
    octets = octets.replace(b"\r\n", b"\n")
    header, separator, rest = octets.partition(b"\n\n")
    lines = [line for line in header.split(b"\n") if not line.startswith(b"X-TUID: ")]
    return hashlib.sha256(b"\n".join(lines) + separator + rest).hexdigest()


def in_maildir():
    found = []
    for name in MAILBOXES:
        for key, item in maildir(name).iteritems():
            octets = maildir_octets(name, key)
            found.append((name, digest(octets), "".join(sorted(item.get_flags()))))
    return sorted(found)


def maildir_octets(name, key):
    with maildir(name).get_file(key) as file:
        return file.read()


def fetched(connection, name):
    """UID, flags and octets of each message."""
    ok(connection.select(f'"{name}"', readonly=True))
    data = ok(connection.uid("FETCH", "1:*", "(UID FLAGS BODY.PEEK[])"))
    for first, last in zip(data[::2], data[1::2]):
        told = first[0] + last
        uid = int(re.search(rb"UID (\d+)", told)[1])
        words = [word.decode() for word in imaplib.ParseFlags(told)]
        yield uid, [word for word in words if word != "\\Recent"], first[1]


def on_server(connection):
    letters = {word: letter for letter, word in FLAGS.items()}
    found = []
    for name in MAILBOXES:
        for _, words, octets in fetched(connection, name):
            assert b"\n" not in octets.replace(b"\r\n", b""), "a bare LF"
            found.append((name, digest(octets), "".join(sorted(letters[word] for word in words))))
    return sorted(found)


def expected(count):
    """What was made, without what was removed, is there."""
    connection = connect()
    here, there = in_maildir(), on_server(connection)
    connection.logout()
    assert here == there, sorted(set(here) ^ set(there))
    assert len(here) == count == len(set(one[:2] for one in here)), (count, len(here))
    made = {(name, digest(message(number, name))) for name, total in MAILBOXES.items() for number in range(total)}
    assert {one[:2] for one in here} <= made, "octets have changed"


def server():
    connection = connect()
    for line in sorted(ok(connection.list())):
        print(line)
    for name in MAILBOXES:
        print(ok(connection.status(f'"{name}"', "(MESSAGES UIDNEXT UIDVALIDITY UNSEEN)")))
        for uid, words, octets in fetched(connection, name):
            print(uid, sorted(words), hashlib.sha256(octets).hexdigest())
    connection.logout()


def numbers(name):
    """The keys of the Maildir and the UIDs of the server, by the number of the message."""
    number = re.compile(rb"^Message-ID: <(\d+)\.", re.M)
    keys = {int(number.search(maildir_octets(name, key))[1]): key for key in maildir(name).keys()}
    connection = connect()
    uids = {int(number.search(octets)[1]): str(uid) for uid, _, octets in fetched(connection, name)}
    ok(connection.select(f'"{name}"'))
    return keys, uids, connection


def flag():
    """Each kind of change, on each side, on messages of either origin."""
    for name, count in MAILBOXES.items():
        keys, uids, connection = numbers(name)
        here = maildir(name)
        for number in range(0, count, 5):
            item = here[keys[number]]
            item.set_flags("D" if "S" in item.get_flags() else "DS")
            # Only the name changes: the class would write the message anew.
            [path] = glob.glob(os.path.join(FOLDER, name, "*", glob.escape(keys[number]) + "*"))
            os.rename(path, path.partition(":")[0] + ":2," + "".join(sorted(item.get_flags())))
        for number in range(1, count, 5):
            ok(connection.uid("STORE", uids[number], "-FLAGS.SILENT", "(\\Seen)"))
            ok(connection.uid("STORE", uids[number], "+FLAGS.SILENT", "(\\Draft \\Answered)"))
        connection.logout()


def remove():
    """A tenth goes on each side."""
    for name, count in MAILBOXES.items():
        keys, uids, connection = numbers(name)
        here = maildir(name)
        for number in range(2, count, 10):
            here.remove(keys[number])
        for number in range(3, count, 10):
            ok(connection.uid("STORE", uids[number], "+FLAGS.SILENT", "(\\Deleted)"))
        ok(connection.expunge())
        connection.logout()


match sys.argv[1:]:
    case ["fill"]:
        fill()
    case ["compare", count]:
        expected(int(count))
    case ["server"]:
        server()
    case ["flag"]:
        flag()
    case ["remove"]:
        remove()
    case _:
        sys.exit(__doc__)
