//! ENVELOPE (RFC 3501 §7.4.2, RFC 9051 §7.5.2), rendered once from a message's header.

use super::Limits;
use super::address::{Address, addresses};
use super::header::{Field, unfold};
use crate::wire::line::{put_nstring, put_string};

/// The fields of a message's header that ENVELOPE and threading are made from.
///
/// Of a field that may stand once the first counts; the addresses of repeated fields are joined
/// (RFC 5322 §4.5.3).
#[derive(Default)]
pub(super) struct Envelope {
    pub(super) date: Option<Vec<u8>>,
    pub(super) subject: Option<Vec<u8>>,
    pub(super) in_reply_to: Option<Vec<u8>>,
    pub(super) message_id: Option<Vec<u8>>,
    pub(super) references: Option<Vec<u8>>,
    from: Vec<Address>,
    sender: Vec<Address>,
    reply_to: Vec<Address>,
    to: Vec<Address>,
    cc: Vec<Address>,
    bcc: Vec<Address>,
}

impl Envelope {
    /// Takes up one field of the header, if it is of interest.
    pub(super) fn field(&mut self, field: &Field, limits: &Limits) {
        let mut lower = [0u8; 16];
        let Some(name) = lower.get_mut(..field.name.len()) else { return };
        name.copy_from_slice(field.name);
        name.make_ascii_lowercase();
        let text = match &*name {
            b"date" => &mut self.date,
            b"subject" => &mut self.subject,
            b"in-reply-to" => &mut self.in_reply_to,
            b"message-id" => &mut self.message_id,
            b"references" => &mut self.references,
            other => return self.address(other, field.value, limits.addresses),
        };
        text.get_or_insert_with(|| unfold(field.value));
    }

    fn address(&mut self, name: &[u8], value: &[u8], limit: usize) {
        let list = match name {
            b"from" => &mut self.from,
            b"sender" => &mut self.sender,
            b"reply-to" => &mut self.reply_to,
            b"to" => &mut self.to,
            b"cc" => &mut self.cc,
            b"bcc" => &mut self.bcc,
            _ => return,
        };
        if list.len() < limit {
            addresses(&unfold(value), limit, list);
        }
    }

    /// `(date subject from sender reply-to to cc bcc in-reply-to message-id)`. Sender and Reply-To
    /// that are absent or empty are those of From.
    pub(super) fn render(&self) -> Vec<u8> {
        let mut from = Vec::new();
        put_addresses(&mut from, &self.from);
        let mut out = Vec::with_capacity(256);
        out.push(b'(');
        put_nstring(&mut out, self.date.as_deref());
        out.push(b' ');
        put_nstring(&mut out, self.subject.as_deref());
        out.push(b' ');
        out.extend_from_slice(&from);
        for list in [&self.sender, &self.reply_to] {
            out.push(b' ');
            if list.is_empty() {
                out.extend_from_slice(&from);
            } else {
                put_addresses(&mut out, list);
            }
        }
        for list in [&self.to, &self.cc, &self.bcc] {
            out.push(b' ');
            put_addresses(&mut out, list);
        }
        out.push(b' ');
        put_nstring(&mut out, self.in_reply_to.as_deref());
        out.push(b' ');
        put_nstring(&mut out, self.message_id.as_deref());
        out.push(b')');
        out
    }
}

fn put_addresses(out: &mut Vec<u8>, list: &[Address]) {
    if list.is_empty() {
        out.extend_from_slice(b"NIL");
        return;
    }
    out.push(b'(');
    for address in list {
        out.push(b'(');
        put_nstring(out, address.name.as_deref());
        out.push(b' ');
        put_nstring(out, address.route.as_deref());
        out.push(b' ');
        match &address.mailbox {
            Some(mailbox) => put_string(out, mailbox),
            None => out.extend_from_slice(b"NIL"),
        }
        out.push(b' ');
        put_nstring(out, address.host.as_deref());
        out.push(b')');
    }
    out.push(b')');
}

#[cfg(test)]
mod tests {
    use super::super::header::fields;
    use super::*;

    fn envelope(header: &str) -> String {
        let mut envelope = Envelope::default();
        for field in fields(header.as_bytes()) {
            envelope.field(&field, &Limits::default());
        }
        String::from_utf8(envelope.render()).unwrap()
    }

    /// The header of the example in RFC 3501 §8, with what the server answers there.
    #[test]
    fn the_example_of_rfc_3501() {
        let header = "Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\n\
            From: Terry Gray <gray@cac.washington.edu>\r\n\
            Subject: IMAP4rev1 WG mtg summary and minutes\r\n\
            To: imap@cac.washington.edu\r\n\
            cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\r\n\
            Message-Id: <B27397-0100000@cac.washington.edu>\r\n\
            MIME-Version: 1.0\r\n\r\n";
        assert_eq!(
            envelope(header),
            "(\"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\" \
             \"IMAP4rev1 WG mtg summary and minutes\" \
             ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
             ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
             ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
             ((NIL NIL \"imap\" \"cac.washington.edu\")) \
             ((NIL NIL \"minutes\" \"CNRI.Reston.VA.US\")\
             (\"John Klensin\" NIL \"KLENSIN\" \"MIT.EDU\")) NIL NIL \
             \"<B27397-0100000@cac.washington.edu>\")"
        );
    }

    #[test]
    fn absent_is_nil_and_empty_is_empty() {
        assert_eq!(envelope(""), "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)");
        assert_eq!(
            envelope("Subject:\r\nTo: \r\nSender:\r\nMessage-ID: \r\n\r\n"),
            "(NIL \"\" NIL NIL NIL NIL NIL NIL NIL \"\")"
        );
    }

    #[test]
    fn values_are_unfolded_but_not_decoded() {
        assert_eq!(
            envelope("Subject: =?utf-8?q?a?=\r\n =?utf-8?q?b?=\r\nSubject: second\r\n"),
            "(NIL \"=?utf-8?q?a?= =?utf-8?q?b?=\" NIL NIL NIL NIL NIL NIL NIL NIL)"
        );
    }

    #[test]
    fn repeated_address_fields_are_joined() {
        assert!(envelope("To: a@b\r\nTo: c@d\r\n").contains("((NIL NIL \"a\" \"b\")(NIL NIL \"c\" \"d\"))"));
    }

    #[test]
    fn a_hundred_thousand_to_lines_give_ten_thousand_addresses() {
        let text = envelope(&"To: a@b\r\n".repeat(100_000));
        assert_eq!(text.matches("\"a\"").count(), 10_000);
    }
}
