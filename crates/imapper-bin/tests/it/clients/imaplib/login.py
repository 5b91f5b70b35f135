"""Every way in: LOGIN and AUTHENTICATE PLAIN, in the clear, after STARTTLS, by implicit TLS."""

import imaplib
import ssl

from connection import (
    HOST, PASSWORD, STARTTLS_PORT, TIMEOUT, TLS_PORT, USER, WRONG_PASSWORD, done, equal, ok, plain, starttls, tls, trust,
)


def initial_response(password, authorization=""):
    return lambda _: f"{authorization}\0{USER}\0{password}".encode()


for connect in plain, starttls, tls:
    is_secret = connect is not plain

    # imaplib asks for CAPABILITY by itself, and again after STARTTLS.
    connection = connect()
    for word in "IMAP4REV1", "IDLE", "NAMESPACE", "AUTH=PLAIN", "SASL-IR":
        assert word in connection.capabilities, (word, connection.capabilities)
    assert "LOGINDISABLED" not in connection.capabilities
    assert "STARTTLS" not in connection.capabilities
    equal(isinstance(connection.sock, ssl.SSLSocket), is_secret)
    # No command of a later state works, and the connection lives on.
    try:
        connection.xatom("LIST", '""', "*")
        raise AssertionError("LIST before login")
    except imaplib.IMAP4.error as error:
        assert "LIST" in str(error), error
    ok(connection.login(USER, PASSWORD))
    ok(connection.select())
    ok(connection.noop())
    kind, _ = connection.logout()
    equal(kind, "BYE")

    connection = connect()
    ok(connection.authenticate("PLAIN", initial_response(PASSWORD)))
    ok(connection.select())
    equal(connection.logout()[0], "BYE")

    connection = connect()
    ok(connection.authenticate("PLAIN", initial_response(PASSWORD, USER)))
    equal(connection.logout()[0], "BYE")

    # After a refusal the same connection may try again.
    connection = connect()
    for attempt in (
        lambda: connection.login(USER, WRONG_PASSWORD),
        lambda: connection.authenticate("PLAIN", initial_response(WRONG_PASSWORD)),
    ):
        try:
            attempt()
            raise AssertionError("logged in with a wrong password")
        except imaplib.IMAP4.error as error:
            assert "AUTHENTICATIONFAILED" in str(error), error
    equal(connection.state, "NONAUTH")
    ok(connection.login(USER, PASSWORD))
    equal(connection.logout()[0], "BYE")

    # RFC 9051 §6.2.2: a client that sends "*" gets BAD.
    connection = connect()
    try:
        connection.authenticate("PLAIN", lambda _: None)
        raise AssertionError("logged in with nothing")
    except imaplib.IMAP4.error:
        pass
    connection.shutdown()

assert "STARTTLS" in imaplib.IMAP4(HOST, STARTTLS_PORT, timeout=TIMEOUT).capabilities

# STARTTLS is no longer there once it has been done, and never was on a port without it.
connection = starttls()
try:
    connection._simple_command("STARTTLS")
    raise AssertionError("TLS in TLS")
except imaplib.IMAP4.error:
    pass
ok(connection.login(USER, PASSWORD))
connection.logout()

# Who does not trust the certificate gets no further; the server goes on.
try:
    imaplib.IMAP4_SSL(HOST, TLS_PORT, ssl_context=ssl.create_default_context(), timeout=TIMEOUT)
    raise AssertionError("trusted")
except ssl.SSLCertVerificationError:
    pass
with imaplib.IMAP4_SSL(HOST, TLS_PORT, ssl_context=trust(), timeout=TIMEOUT) as connection:
    ok(connection.login(USER, PASSWORD))

done()
