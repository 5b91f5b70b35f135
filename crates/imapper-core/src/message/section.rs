//! `BODY[section]` (RFC 3501 §6.4.5, RFC 9051 §6.4.5): where a section lies, and headers by field.

use std::collections::HashSet;
use std::ops::Range;

use super::digest::Digest;
use super::header::{fields, has_blank_line};

/// What stands between the brackets of `BODY[…]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Section {
    /// The part numbers; empty for the message itself.
    pub part: Vec<u32>,
    /// What of that part.
    pub what: What,
}

/// What of a part, or of the message, a section names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum What {
    /// All of it; of a part, its body.
    Whole,
    /// `HEADER`: of the message, or of one in a message/rfc822 part.
    Header,
    /// `HEADER.FIELDS (…)`
    HeaderFields(Vec<Vec<u8>>),
    /// `HEADER.FIELDS.NOT (…)`
    HeaderFieldsNot(Vec<Vec<u8>>),
    /// `TEXT`: the body of the message, or of one in a message/rfc822 part.
    Text,
    /// `MIME`: the header of a part.
    Mime,
}

/// Where a section lies. Offsets are octets of the message as it goes over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Located {
    /// These octets; an empty range is an empty string.
    Range(Range<u64>),
    /// Some of the fields in this header; see [`filter_fields`].
    Fields {
        /// The header with its blank line.
        within: Range<u64>,
    },
    /// There is no such part: NIL.
    Nothing,
}

impl Digest {
    /// Finds a section. A part that is not there is [`Located::Nothing`]; the header or the text of a
    /// part that is no message is empty.
    pub fn locate(&self, section: &Section) -> Located {
        let (header, text) = if section.part.is_empty() {
            match section.what {
                What::Whole => return Located::Range(0..self.size()),
                What::Mime => return Located::Nothing, // not in the grammar (RFC 3501 §9, section-spec)
                _ => (Some(self.header()), Some(self.text())),
            }
        } else {
            let Some(part) = self.part(&section.part) else { return Located::Nothing };
            match section.what {
                What::Whole => return Located::Range(part.body),
                What::Mime => return Located::Range(part.mime_header),
                _ => (part.header, part.text),
            }
        };
        let (Some(header), Some(text)) = (header, text) else { return Located::Range(0..0) };
        match section.what {
            What::Text => Located::Range(text),
            What::Header => Located::Range(header),
            _ => Located::Fields { within: header },
        }
    }
}

/// With so few names each is compared, which costs less than a look-up.
const FEW: usize = 8;

/// Names of header fields, ready to be looked for in many messages.
#[derive(Debug, Clone)]
pub struct FieldNames {
    lower: HashSet<Vec<u8>>,
    longest: usize,
}

impl FieldNames {
    /// These names; their case does not matter.
    pub fn new(names: &[Vec<u8>]) -> FieldNames {
        let lower = names.iter().map(|n| n.to_ascii_lowercase()).collect();
        FieldNames { lower, longest: names.iter().map(Vec::len).max().unwrap_or(0) }
    }

    /// The fields of a header whose names are among these, or with `not` those whose names are not, in
    /// their order and as they stand. The blank line follows, unless the header has none: a message
    /// without a body may lack it (RFC 3501 §6.4.5).
    pub fn filter(&self, header: &[u8], not: bool) -> Vec<u8> {
        let mut lower = Vec::with_capacity(self.longest);
        let mut out = Vec::new();
        for field in fields(header) {
            if self.has(field.name, &mut lower) != not {
                out.extend_from_slice(field.raw);
            }
        }
        if has_blank_line(header) {
            out.extend_from_slice(b"\r\n");
        }
        out
    }

    fn has(&self, name: &[u8], lower: &mut Vec<u8>) -> bool {
        if name.is_empty() || name.len() > self.longest {
            return false;
        }
        if self.lower.len() <= FEW {
            return self.lower.iter().any(|known| known.eq_ignore_ascii_case(name));
        }
        lower.clear();
        lower.extend(name.iter().map(u8::to_ascii_lowercase));
        self.lower.contains(lower)
    }
}

/// [`FieldNames::filter`] for one message.
pub fn filter_fields(header: &[u8], names: &[Vec<u8>], not: bool) -> Vec<u8> {
    FieldNames::new(names).filter(header, not)
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    /// The complex message of RFC 3501 §6.4.5.
    const COMPLEX: &str = "Subject: top\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n\
        --a\r\n\r\none\r\n\
        --a\r\nContent-Type: application/octet-stream\r\n\r\ntwo\r\n\
        --a\r\nContent-Type: message/rfc822\r\n\r\n\
        Subject: three\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
        --b\r\n\r\nthree one\r\n--b\r\nContent-Type: application/octet-stream\r\n\r\nthree two\r\n--b--\r\n\
        --a\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n\
        --c\r\nContent-Type: image/gif\r\n\r\nfour one\r\n\
        --c\r\nContent-Type: message/rfc822\r\n\r\n\
        Subject: four two\r\nContent-Type: multipart/mixed; boundary=d\r\n\r\n\
        --d\r\n\r\nfour two one\r\n\
        --d\r\nContent-Type: multipart/alternative; boundary=e\r\n\r\n\
        --e\r\n\r\nfour two two one\r\n--e\r\nContent-Type: text/richtext\r\n\r\nfour two two two\r\n--e--\r\n\
        --d--\r\n--c--\r\n--a--\r\n";

    fn section(part: &[u32], what: What) -> Section {
        Section { part: part.to_vec(), what }
    }

    fn at<'a>(message: &'a str, part: &[u32], what: What) -> Option<&'a str> {
        match parse(message.as_bytes()).locate(&section(part, what)) {
            Located::Range(r) => {
                message.get(usize::try_from(r.start).unwrap()..usize::try_from(r.end).unwrap())
            }
            Located::Fields { .. } => panic!("fields"),
            Located::Nothing => None,
        }
    }

    #[test]
    fn the_example_of_rfc_3501() {
        let whole = |part: &[u32]| at(COMPLEX, part, What::Whole).unwrap();
        assert_eq!(at(COMPLEX, &[], What::Whole), Some(COMPLEX));
        assert_eq!(whole(&[1]), "one");
        assert_eq!(whole(&[2]), "two");
        assert!(whole(&[3]).starts_with("Subject: three") && whole(&[3]).ends_with("--b--"));
        assert_eq!(
            at(COMPLEX, &[3], What::Header),
            Some("Subject: three\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n")
        );
        assert!(at(COMPLEX, &[3], What::Text).unwrap().starts_with("--b\r\n"));
        assert_eq!(whole(&[3, 1]), "three one");
        assert_eq!(whole(&[3, 2]), "three two");
        assert_eq!(whole(&[4, 1]), "four one");
        assert_eq!(at(COMPLEX, &[4, 1], What::Mime), Some("Content-Type: image/gif\r\n\r\n"));
        assert!(at(COMPLEX, &[4, 2], What::Header).unwrap().starts_with("Subject: four two\r\n"));
        assert!(at(COMPLEX, &[4, 2], What::Text).unwrap().starts_with("--d\r\n"));
        assert_eq!(whole(&[4, 2, 1]), "four two one");
        assert!(whole(&[4, 2, 2]).starts_with("--e\r\n"));
        assert_eq!(whole(&[4, 2, 2, 1]), "four two two one");
        assert_eq!(whole(&[4, 2, 2, 2]), "four two two two");
    }

    #[test]
    fn what_is_not_there() {
        for part in [&[0][..], &[5], &[1, 1], &[2, 1], &[3, 3], &[4, 2, 2, 3], &[4, 2, 1, 1], &[u32::MAX]] {
            assert_eq!(at(COMPLEX, part, What::Whole), None, "{part:?}");
        }
        assert_eq!(at(COMPLEX, &[1], What::Header), Some(""));
        assert_eq!(at(COMPLEX, &[4], What::Text), Some(""));
        assert_eq!(at(COMPLEX, &[3, 1], What::Header), Some(""));
        assert_eq!(at(COMPLEX, &[9], What::Header), None);
    }

    #[test]
    fn a_message_that_is_no_multipart_has_a_part_1() {
        let message = "Subject: x\r\n\r\nbody";
        assert_eq!(at(message, &[1], What::Whole), Some("body"));
        assert_eq!(at(message, &[1], What::Mime), Some("Subject: x\r\n\r\n"));
        assert_eq!(at(message, &[2], What::Whole), None);
        assert_eq!(at(message, &[1, 1], What::Whole), None);
        assert_eq!(at(message, &[], What::Text), Some("body"));
    }

    #[test]
    fn a_message_in_a_message_has_parts() {
        let message = "Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\ninner";
        assert_eq!(at(message, &[1], What::Header), Some("Subject: in\r\n\r\n"));
        assert_eq!(at(message, &[1], What::Text), Some("inner"));
        assert_eq!(at(message, &[1, 1], What::Whole), Some("inner"));
        assert_eq!(at(message, &[1, 1], What::Header), Some(""));
        assert_eq!(at(message, &[1, 2], What::Whole), None);
    }

    fn filter(header: &str, names: &[&str], not: bool) -> String {
        let names: Vec<_> = names.iter().map(|n| n.as_bytes().to_vec()).collect();
        String::from_utf8(filter_fields(header.as_bytes(), &names, not)).unwrap()
    }

    #[test]
    fn fields_are_picked_as_they_stand() {
        let header = "From: a\r\nSUBJECT : x\r\n y\r\nTo: b\r\nfrom: c\r\njunk\r\n\r\n";
        assert_eq!(
            filter(header, &["from", "Subject"], false),
            "From: a\r\nSUBJECT : x\r\n y\r\nfrom: c\r\n\r\n"
        );
        assert_eq!(filter(header, &["from", "Subject"], true), "To: b\r\njunk\r\n\r\n");
        assert_eq!(filter(header, &["Fro", ""], false), "\r\n");
        assert_eq!(filter(header, &[], true), header);
    }

    #[test]
    fn many_names_are_found_like_few() {
        let header = "From: a\r\nSUBJECT : x\r\nTo: b\r\n\r\n";
        let many = ["a", "b", "c", "d", "e", "f", "g", "h", "subject"];
        assert_eq!(filter(header, &many, false), "SUBJECT : x\r\n\r\n");
        assert_eq!(filter(header, &many, true), "From: a\r\nTo: b\r\n\r\n");
    }

    #[test]
    fn no_blank_line_is_made_up() {
        assert_eq!(filter("From: a\r\nTo: b", &["to"], false), "To: b");
        assert_eq!(filter("", &["to"], false), "");
        assert_eq!(filter("\r\n", &["to"], false), "\r\n");
    }

    #[test]
    fn fields_lie_within_a_header() {
        let digest = parse(COMPLEX.as_bytes());
        let fields =
            |part: &[u32]| digest.locate(&section(part, What::HeaderFields(vec![b"Subject".to_vec()])));
        assert_eq!(fields(&[]), Located::Fields { within: digest.header() });
        assert!(matches!(fields(&[3]), Located::Fields { .. }));
        assert_eq!(fields(&[1]), Located::Range(0..0));
        assert_eq!(fields(&[7]), Located::Nothing);
    }
}
