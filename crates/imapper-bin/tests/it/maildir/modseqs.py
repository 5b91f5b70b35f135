"""Prints each mailbox with its HIGHESTMODSEQ (RFC 7162)."""

from connection import log_out, logged_in, mailboxes, status

connection = logged_in()
for name in mailboxes(connection):
    print(status(connection, name, "HIGHESTMODSEQ")["HIGHESTMODSEQ"], name)
log_out(connection)
