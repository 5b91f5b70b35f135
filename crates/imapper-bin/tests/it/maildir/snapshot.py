"""Prints all that a client may have in its cache, in lines that can be compared."""

from connection import digest, log_out, logged_in, mailboxes, messages, status, subscriptions

connection = logged_in()
for name in mailboxes(connection):
    print(name, status(connection, name, "MESSAGES UIDVALIDITY UIDNEXT UNSEEN"))
    for uid, message in messages(connection, name).items():
        print(name, uid, message["size"], digest(message["octets"]), message["date"], message["flags"])
for name in subscriptions(connection):
    print(name, "is subscribed")
log_out(connection)
