"""A message of 5 MB, there and back, in the clear and over TLS; equal to the last octet."""

import hashlib

from connection import PASSWORD, USER, done, equal, ok, plain, starttls, tls

SIZE = 5_000_000


def message(seed):
    """Every octet but NUL, CR and LF, in lines, by a digest: neither chance nor anything that repeats."""
    header = b"Subject: large %d\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    lines, size, number = [header % seed], len(header % seed), 0
    while size < SIZE:
        block = b"".join(hashlib.sha512(b"%d %d %d" % (seed, number, part)).digest() for part in range(15))
        block = block.translate(None, b"\0\r\n") + b"\r\n"
        lines.append(block)
        size, number = size + len(block), number + 1
    return b"".join(lines)


for number, connect in enumerate((plain, starttls, tls), 1):
    connection = connect()
    ok(connection.login(USER, PASSWORD))
    sent = message(number)
    ok(connection.append("INBOX", None, None, sent))
    equal(ok(connection.select()), [b"%d" % number])
    equal(ok(connection.fetch(str(number), "(RFC822.SIZE)")), [b"%d (RFC822.SIZE %d)" % (number, len(sent))])
    got = ok(connection.fetch(str(number), "(BODY.PEEK[])"))[0][1]
    # Not by `equal`: it would print both.
    assert got == sent, (len(got), len(sent))
    # In parts, as clients do.
    step = 1_000_000
    parts = [
        ok(connection.fetch(str(number), f"(BODY.PEEK[]<{start}.{step}>)"))[0][1] for start in range(0, len(sent), step)
    ]
    assert b"".join(parts) == sent
    # All of them at once, more than any buffer between.
    every = ok(connection.fetch("1:*", "(BODY.PEEK[])"))[::2]
    assert [each[1] for each in every] == [message(n) for n in range(1, number + 1)]
    equal(connection.logout()[0], "BYE")

done()
