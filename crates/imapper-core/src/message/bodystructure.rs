//! BODY and BODYSTRUCTURE (RFC 3501 §7.4.2, RFC 9051 §7.5.2), rendered once from the parsed tree.
//!
//! Choices where the RFC leaves some:
//! - Types, subtypes, encodings and names of parameters are in upper case; values stay as written.
//! - text/plain without a charset gets `"CHARSET" "US-ASCII"` (RFC 2045 §5.2), other text does not.
//! - Continued parameters (RFC 2231 §3) are joined: see `content::join_continuations`.
//! - message/rfc822 and message/global carry envelope, structure and lines, also if they claim a base64
//!   or quoted-printable encoding, which RFC 2046 §5.2.1 forbids: the octets are read as they stand.

use super::node::{Kind, Node};
use crate::wire::line::put_number;

/// The rendered structure of a whole message.
pub(super) struct Rendered {
    /// Without extension data.
    pub(super) body: Vec<u8>,
    pub(super) bodystructure: Vec<u8>,
}

impl Rendered {
    pub(super) fn of(nodes: &[Node]) -> Rendered {
        Rendered { body: render(nodes, false), bodystructure: render(nodes, true) }
    }
}

/// Renders the tree, which stands in `nodes` in the order of the output; what comes after the
/// children of a node waits on a stack.
fn render(nodes: &[Node], extended: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    let mut open: Vec<(usize, &Node)> = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        while open.last().is_some_and(|(end, _)| *end <= index) {
            if let Some((_, node)) = open.pop() {
                end_node(&mut out, node, extended);
            }
        }
        begin_node(&mut out, node, nodes.get(index + 1));
        open.push((index + node.subtree, node));
    }
    while let Some((_, node)) = open.pop() {
        end_node(&mut out, node, extended);
    }
    out
}

fn begin_node(out: &mut Vec<u8>, node: &Node, child: Option<&Node>) {
    out.push(b'(');
    if node.kind == Kind::Multipart {
        return;
    }
    out.extend_from_slice(&node.structure.basic);
    out.push(b' ');
    put_number(out, node.end - node.body);
    if node.kind == Kind::Message {
        out.push(b' ');
        out.extend_from_slice(child.and_then(|c| c.envelope.as_deref()).unwrap_or(b"NIL"));
        out.push(b' ');
    }
}

fn end_node(out: &mut Vec<u8>, node: &Node, extended: bool) {
    if node.kind == Kind::Multipart {
        out.push(b' ');
        out.extend_from_slice(&node.structure.basic);
    } else if node.kind == Kind::Message || node.media.0 == b"TEXT" {
        out.push(b' ');
        put_number(out, node.lines);
    }
    if extended {
        out.extend_from_slice(&node.structure.extension);
    }
    out.push(b')');
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    fn body(message: &str) -> String {
        String::from_utf8(parse(message.as_bytes()).body().to_vec()).unwrap()
    }

    fn structure(message: &str) -> String {
        String::from_utf8(parse(message.as_bytes()).bodystructure().to_vec()).unwrap()
    }

    #[test]
    fn a_message_without_mime() {
        let message = "Subject: hello 3\r\n\r\nWorld 3!";
        assert_eq!(body(message), r#"("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 8 1)"#);
        assert_eq!(
            structure(message),
            r#"("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 8 1 NIL NIL NIL NIL)"#
        );
    }

    #[test]
    fn all_fields_of_a_leaf() {
        let message = "Content-Type: Image/Png; Name=a.png\r\nContent-ID: <1@x>\r\n\
            Content-Description: A picture\r\nContent-Transfer-Encoding: base64\r\nContent-MD5: abc==\r\n\
            Content-Disposition: inline; filename=\"a.png\"; size=4\r\nContent-Language: en, de\r\n\
            Content-Location: http://x/a.png\r\n\r\n12ab";
        assert_eq!(
            structure(message),
            "(\"IMAGE\" \"PNG\" (\"NAME\" \"a.png\") \"<1@x>\" \"A picture\" \"BASE64\" 4 \"abc==\" \
             (\"INLINE\" (\"FILENAME\" \"a.png\" \"SIZE\" \"4\")) (\"en\" \"de\") \"http://x/a.png\")"
        );
    }

    #[test]
    fn all_fields_of_a_multipart() {
        let message = "Content-Type: multipart/mixed; boundary=b\r\nContent-Disposition: inline\r\n\
            Content-Language: en\r\nContent-Location: x\r\n\r\n--b\r\n\r\na\r\n--b--\r\n";
        assert_eq!(
            structure(message),
            "((\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 1 1 NIL NIL NIL NIL) \"MIXED\" \
             (\"BOUNDARY\" \"b\") (\"INLINE\" NIL) \"en\" \"x\")"
        );
    }

    #[test]
    fn charsets_are_only_supplied_to_text_plain() {
        assert_eq!(body("Content-Type: text/html\r\n\r\nx\r\n"), r#"("TEXT" "HTML" NIL NIL NIL "7BIT" 3 1)"#);
        assert_eq!(
            body("Content-Type: text/plain; format=flowed\r\n\r\nx\r\n"),
            r#"("TEXT" "PLAIN" ("CHARSET" "US-ASCII" "FORMAT" "flowed") NIL NIL "7BIT" 3 1)"#
        );
    }
}
