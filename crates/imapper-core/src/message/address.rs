//! Address lists (RFC 5322 §3.4, with the obsolete forms of §4.4) as IMAP shows them in ENVELOPE.
//!
//! Lenient and linear: what is no address still gives something a client can show, and no input
//! makes the parser look at a byte more than a constant number of times.

use super::lex::{Lexer, is_wsp};

/// One entry of an address list (RFC 3501 §7.4.2). The start of a group has a `mailbox` and no
/// `host`, its end has neither.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) name: Option<Vec<u8>>,
    pub(super) route: Option<Vec<u8>>,
    pub(super) mailbox: Option<Vec<u8>>,
    pub(super) host: Option<Vec<u8>>,
}

/// Adds the addresses of an unfolded value to `out`, until it holds `limit` of them.
pub(super) fn addresses(value: &[u8], limit: usize, out: &mut Vec<Address>) {
    let mut list = List { lex: Lexer::new(value), out, limit, in_group: false, now: Current::default() };
    list.run();
}

struct List<'a, 'o> {
    lex: Lexer<'a>,
    out: &'o mut Vec<Address>,
    limit: usize,
    in_group: bool,
    now: Current,
}

/// The address that is being read.
#[derive(Default)]
struct Current {
    /// The words so far, as a display name.
    phrase: Vec<u8>,
    words: usize,
    /// The same without white space, as a local part.
    local: Vec<u8>,
    /// What follows a `@` outside of angle brackets.
    domain: Option<Vec<u8>>,
    angle: Option<Address>,
    /// Words after the angle brackets: the next name if another bracket follows.
    after: Vec<u8>,
    comment: Option<Vec<u8>>,
    space: bool,
}

impl List<'_, '_> {
    fn run(&mut self) {
        while let Some(b) = self.lex.peek() {
            if self.out.len() >= self.limit {
                break;
            }
            match b {
                b',' => {
                    self.lex.bump();
                    self.finish();
                }
                b';' => {
                    self.lex.bump();
                    self.finish();
                    self.end_group();
                }
                b':' if !self.in_group && self.now.angle.is_none() && self.now.domain.is_none() => {
                    self.lex.bump();
                    self.start_group();
                }
                b'<' => self.angle(),
                b'(' => {
                    let text = self.lex.comment();
                    self.now.comment = Some(text);
                    self.now.space = true;
                }
                b'@' if self.now.angle.is_none() => {
                    self.lex.bump();
                    self.now.domain.get_or_insert_default();
                    self.now.phrase.push(b'@');
                    self.now.space = false;
                }
                b'"' => {
                    let mut word = Vec::new();
                    self.lex.quoted(&mut word);
                    self.word(&word);
                }
                b'[' if self.now.domain.as_ref().is_some_and(Vec::is_empty) => {
                    let literal = domain_literal(&mut self.lex);
                    self.word(&literal);
                }
                _ if is_wsp(b) => {
                    self.lex.bump();
                    self.now.space = true;
                }
                _ => {
                    let word = self.lex.take_while(|b| !is_wsp(b) && !b",;:<>()@\"".contains(&b));
                    if word.is_empty() {
                        self.lex.bump(); // a stray bracket or colon
                    } else {
                        self.word(word);
                    }
                }
            }
        }
        self.finish();
        self.end_group();
    }

    fn word(&mut self, word: &[u8]) {
        let space = std::mem::take(&mut self.now.space);
        if self.now.angle.is_some() {
            join(&mut self.now.after, word, space);
            return;
        }
        // "a@b c@d": a comma was forgotten.
        let complete = self.now.domain.as_ref().is_some_and(|d| !d.is_empty() && !d.ends_with(b"."));
        if space && complete && !word.starts_with(b".") {
            self.finish();
        }
        join(&mut self.now.phrase, word, space);
        self.now.words += 1;
        self.now.domain.as_mut().unwrap_or(&mut self.now.local).extend_from_slice(word);
    }

    fn angle(&mut self) {
        if self.now.angle.is_some() {
            let phrase = std::mem::take(&mut self.now.after);
            self.finish();
            self.now.phrase = phrase;
        }
        self.now.angle = Some(angle_addr(&mut self.lex));
        self.now.space = false;
    }

    fn start_group(&mut self) {
        let now = std::mem::take(&mut self.now);
        self.out.push(Address { mailbox: Some(now.phrase), ..Address::default() });
        self.in_group = true;
    }

    fn end_group(&mut self) {
        if std::mem::take(&mut self.in_group) {
            self.out.push(Address::default());
        }
    }

    fn finish(&mut self) {
        let now = std::mem::take(&mut self.now);
        let text = |bytes: Vec<u8>| (!bytes.is_empty()).then_some(bytes);
        let comment = now.comment.and_then(text);
        let address = if let Some(angle) = now.angle {
            Address { name: text(now.phrase).or(comment), ..angle }
        } else if let Some(host) = now.domain {
            Address { name: comment, route: None, mailbox: Some(now.local), host: Some(host) }
        } else if now.phrase.is_empty() {
            return;
        } else if now.words == 1 {
            // No domain. The host is empty, for NIL would make it a group (RFC 3501 §7.4.2).
            Address { name: comment, route: None, mailbox: Some(now.phrase), host: Some(Vec::new()) }
        } else {
            let empty = Some(Vec::new());
            Address { name: Some(now.phrase), route: None, mailbox: empty.clone(), host: empty }
        };
        self.out.push(address);
    }
}

fn join(phrase: &mut Vec<u8>, word: &[u8], space: bool) {
    if space && !phrase.is_empty() {
        phrase.push(b' ');
    }
    phrase.extend_from_slice(word);
}

/// `<@route,@route:local@domain>` with its `<` next. Ends after `>`, or before a comma.
fn angle_addr(lex: &mut Lexer) -> Address {
    lex.bump();
    lex.skip_cfws();
    let mut route = None;
    if lex.peek() == Some(b'@') {
        let mut text = lex.take_while(|b| b != b':' && b != b'>').to_vec();
        text.retain(|&b| !is_wsp(b));
        if lex.eat(b':') {
            route = Some(text);
        } else {
            lex.eat(b'>');
            text.remove(0);
            return Address { mailbox: Some(Vec::new()), host: Some(text), ..Address::default() };
        }
    }
    let mut local = Vec::new();
    let mut host: Option<Vec<u8>> = None;
    loop {
        lex.skip_cfws();
        let in_local = host.is_none();
        let into = host.as_mut().unwrap_or(&mut local);
        match lex.peek() {
            None | Some(b',') => break,
            Some(b'>') => {
                lex.bump();
                break;
            }
            Some(b'"') => lex.quoted(into),
            Some(b'[') if into.is_empty() => into.extend(domain_literal(lex)),
            Some(b'@') if in_local => {
                lex.bump();
                host = Some(Vec::new());
            }
            Some(b) => {
                let word = lex.take_while(|b| !is_wsp(b) && !b",<>()@\"".contains(&b));
                into.extend_from_slice(word);
                if word.is_empty() {
                    into.push(b);
                    lex.bump();
                }
            }
        }
    }
    Address { name: None, route, mailbox: Some(local), host: Some(host.unwrap_or_default()) }
}

/// `[192.0.2.1]` with its `[` next, white space left out.
fn domain_literal(lex: &mut Lexer) -> Vec<u8> {
    let mut text = lex.take_while(|b| b != b']' && b != b',' && b != b'>').to_vec();
    if lex.eat(b']') {
        text.push(b']');
    }
    text.retain(|&b| !is_wsp(b));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `name|route|mailbox|host`, `-` for NIL, entries joined by a space and a slash.
    fn show(value: &str) -> String {
        let mut out = Vec::new();
        addresses(value.as_bytes(), 100, &mut out);
        let part = |p: &Option<Vec<u8>>| {
            p.as_ref().map_or_else(|| "-".to_owned(), |b| String::from_utf8_lossy(b).into_owned())
        };
        let entry = |a: &Address| [part(&a.name), part(&a.route), part(&a.mailbox), part(&a.host)].join("|");
        out.iter().map(entry).collect::<Vec<_>>().join(" / ")
    }

    #[test]
    fn the_forms_of_rfc_5322() {
        assert_eq!(show("John Doe <jdoe@machine.example>"), "John Doe|-|jdoe|machine.example");
        assert_eq!(
            show(
                r#""Joe Q. Public" <john.q.public@example.com>, Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>"#
            ),
            "Joe Q. Public|-|john.q.public|example.com / Mary Smith|-|mary|x.test / -|-|jdoe|example.org / Who?|-|one|y.test"
        );
        assert_eq!(
            show(r#"<boss@nil.test>, "Giant; \"Big\" Box" <sysservices@example.net>"#),
            r#"-|-|boss|nil.test / Giant; "Big" Box|-|sysservices|example.net"#
        );
        assert_eq!(
            show("A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;"),
            "-|-|A Group|- / Ed Jones|-|c|a.test / -|-|joe|where.test / John|-|jdoe|one.test / -|-|-|-"
        );
        assert_eq!(show("Undisclosed recipients:;"), "-|-|Undisclosed recipients|- / -|-|-|-");
        assert_eq!(
            show(r"Pete(A nice \) chap) <pete(his account)@silly.test(his host)>"),
            "Pete|-|pete|silly.test"
        );
        assert_eq!(
            show("Joe Q. Public <john . q .  public@example . com>"),
            "Joe Q. Public|-|john.q.public|example.com"
        );
        assert_eq!(
            show("Mary Smith <@node.test,@example.net:mary@example.net>, , jdoe@test  . example"),
            "Mary Smith|@node.test,@example.net|mary|example.net / -|-|jdoe|test.example"
        );
    }

    #[test]
    fn quoted_local_parts_and_domain_literals() {
        assert_eq!(show(r#""John Smith"@example.com"#), "-|-|John Smith|example.com");
        assert_eq!(show(r#"X <"a\"b@c"@[192.0.2.1]>"#), r#"X|-|a"b@c|[192.0.2.1]"#);
        assert_eq!(show("a@[ 192.0.2.1 ]"), "-|-|a|[192.0.2.1]");
    }

    #[test]
    fn a_comment_is_the_name_in_the_old_style() {
        assert_eq!(show("jdoe@example.org (John (Jack) Doe)"), "John (Jack) Doe|-|jdoe|example.org");
        assert_eq!(show(r"a@b (x\"), "x|-|a|b");
        assert_eq!(show("(c) a@b"), "c|-|a|b");
    }

    #[test]
    fn what_is_no_address_is_still_shown() {
        assert_eq!(show("root"), "-|-|root|");
        assert_eq!(show("John Doe"), "John Doe|-||");
        assert_eq!(show("<>"), "-|-||");
        assert_eq!(show("<@host>"), "-|-||host");
        assert_eq!(show("a@b c@d"), "-|-|a|b / -|-|c|d");
        assert_eq!(show("joe@home <joe@work>"), "joe@home|-|joe|work");
        assert_eq!(show("A <a@b> B <c@d>"), "A|-|a|b / B|-|c|d");
        assert_eq!(show("A <a@b, c@d"), "A|-|a|b / -|-|c|d");
        assert_eq!(show("g: a@b, x"), "-|-|g|- / -|-|a|b / -|-|x| / -|-|-|-");
        assert_eq!(show(" , ;; ,"), "");
        assert_eq!(
            show("=?utf-8?q?J=C3=B6rg?=  =?utf-8?q?_X?= <j@x>"),
            "=?utf-8?q?J=C3=B6rg?= =?utf-8?q?_X?=|-|j|x"
        );
    }

    #[test]
    fn no_more_addresses_than_the_limit() {
        let mut out = Vec::new();
        addresses("a@b,".repeat(50).as_bytes(), 10, &mut out);
        assert_eq!(out.len(), 10);
    }
}
