"""Connections to the server that the test has started, and what all scripts check with."""

import imaplib
import os
import ssl

HOST = "127.0.0.1"
USER = os.environ["SITE_USER"]
PASSWORD = os.environ["SITE_PASSWORD"]
WRONG_PASSWORD = os.environ["SITE_WRONG_PASSWORD"]
PLAIN_PORT = int(os.environ["SITE_PLAIN_PORT"])
STARTTLS_PORT = int(os.environ["SITE_STARTTLS_PORT"])
TLS_PORT = int(os.environ["SITE_TLS_PORT"])
TIMEOUT = 30


def trust():
    """Trusts the certificate of the test, and no other."""
    return ssl.create_default_context(cafile=os.environ["SITE_CERTIFICATE"])


def plain():
    return imaplib.IMAP4(HOST, PLAIN_PORT, timeout=TIMEOUT)


def starttls():
    connection = imaplib.IMAP4(HOST, STARTTLS_PORT, timeout=TIMEOUT)
    ok(connection.starttls(trust()))
    return connection


def tls():
    return imaplib.IMAP4_SSL(HOST, TLS_PORT, ssl_context=trust(), timeout=TIMEOUT)


def logged_in():
    connection = plain()
    ok(connection.login(USER, PASSWORD))
    return connection


def ok(answer):
    """The data of an answer that must be OK."""
    kind, data = answer
    assert kind == "OK", answer
    return data


def no(answer):
    kind, data = answer
    assert kind == "NO", answer
    return data


def equal(one, other):
    assert one == other, f"\n{one!r}\nis not\n{other!r}"


def untagged(connection, name):
    """All untagged responses of that name that came since the last look."""
    return [each for each in connection.response(name)[1] if each is not None]


def done():
    print("all is as expected")
