//! What BODY and BODYSTRUCTURE say of one node of the tree, without its size: out of its header fields.

use super::content::{Content, Params};
use crate::wire::line::{put_nstring, put_string};

/// The pieces of one node that do not depend on its body.
#[derive(Default)]
pub(super) struct Structure {
    /// Up to the encoding for a leaf; the subtype for a multipart.
    pub(super) basic: Vec<u8>,
    /// The extension data, a space before each field.
    pub(super) extension: Vec<u8>,
}

impl Structure {
    /// Of a node of that type. With `replaced`, the type is not the one that the fields tell, and its
    /// parameters are left out.
    pub(super) fn render(
        is_multipart: bool,
        (media, subtype): &(Vec<u8>, Vec<u8>),
        content: &Content,
        replaced: bool,
    ) -> Structure {
        let mut basic = Vec::with_capacity(64);
        let mut extension = Vec::with_capacity(32);
        let none = Params::new();
        let params = if replaced { &none } else { &content.params };
        if is_multipart {
            put_string(&mut basic, subtype);
            extension.push(b' ');
            put_params(&mut extension, params, false);
        } else {
            put_string(&mut basic, media);
            basic.push(b' ');
            put_string(&mut basic, subtype);
            basic.push(b' ');
            let text_plain = media == b"TEXT" && subtype == b"PLAIN";
            let has_charset = params.iter().any(|(name, _)| name == b"CHARSET");
            put_params(&mut basic, params, text_plain && !has_charset);
            for field in [&content.id, &content.description] {
                basic.push(b' ');
                put_nstring(&mut basic, field.as_deref());
            }
            basic.push(b' ');
            put_string(&mut basic, content.encoding.as_deref().unwrap_or(b"7BIT"));
            extension.push(b' ');
            put_nstring(&mut extension, content.md5.as_deref());
        }
        put_disposition(&mut extension, content);
        put_language(&mut extension, &content.language);
        extension.push(b' ');
        put_nstring(&mut extension, content.location.as_deref());
        Structure { basic, extension }
    }
}

fn put_params(out: &mut Vec<u8>, params: &Params, add_ascii: bool) {
    if params.is_empty() && !add_ascii {
        out.extend_from_slice(b"NIL");
        return;
    }
    out.push(b'(');
    let mut first = true;
    let ascii = (b"CHARSET".to_vec(), b"US-ASCII".to_vec());
    for (name, value) in add_ascii.then_some(&ascii).into_iter().chain(params) {
        if !std::mem::take(&mut first) {
            out.push(b' ');
        }
        put_string(out, name);
        out.push(b' ');
        put_string(out, value);
    }
    out.push(b')');
}

fn put_disposition(out: &mut Vec<u8>, content: &Content) {
    out.push(b' ');
    match &content.disposition {
        Some((kind, params)) => {
            out.push(b'(');
            put_string(out, kind);
            out.push(b' ');
            put_params(out, params, false);
            out.push(b')');
        }
        None => out.extend_from_slice(b"NIL"),
    }
}

fn put_language(out: &mut Vec<u8>, tags: &[Vec<u8>]) {
    out.push(b' ');
    match tags {
        [] => out.extend_from_slice(b"NIL"),
        [one] => put_string(out, one),
        [first, rest @ ..] => {
            out.push(b'(');
            put_string(out, first);
            for tag in rest {
                out.push(b' ');
                put_string(out, tag);
            }
            out.push(b')');
        }
    }
}
