//! Writes a [`Digest`], in the layout that `digest` tells.

use super::bodystructure::Rendered;
use super::date::Sent;
use super::decode::decode_header_value;
use super::digest::{Digest, ENCODINGS, HEAD, HEADER_KEPT, IS_REPLY, MAGIC, RECORD, SECTIONS, check};
use super::envelope::Envelope;
use super::node::{Kind, Node};
use super::thread::{base_subject, message_ids, thread_key};

/// Makes the digest of a parsed message. `envelope` is that of the message itself, whose node is the first.
pub(super) fn build(
    nodes: &[Node],
    size: u64,
    lines: u64,
    rendered: Rendered,
    header: Option<Vec<u8>>,
    envelope: &Envelope,
) -> Digest {
    let (records, strings) = records(nodes);
    let subject = envelope.subject.as_deref().map(decode_header_value).unwrap_or_default();
    let (subject, is_reply) = base_subject(&subject);
    let ids = |value: &Option<Vec<u8>>| value.as_deref().map(message_ids).unwrap_or_default();
    let message_id = ids(&envelope.message_id).into_iter().next().unwrap_or_default();
    // RFC 5256 §3: without References, the first id of In-Reply-To.
    let in_reply_to = ids(&envelope.in_reply_to);
    let mut references = ids(&envelope.references);
    if references.is_empty() {
        references.extend(in_reply_to.first().cloned());
    }
    let mut keys: Vec<u64> = Some(&message_id)
        .filter(|id| !id.is_empty())
        .into_iter()
        .chain(&references)
        .chain(&in_reply_to)
        .map(|id| thread_key(id, &subject))
        .collect();
    dedup(&mut keys);
    let sent = envelope.date.as_deref().and_then(Sent::parse);
    let flags = if header.is_some() { HEADER_KEPT } else { 0 } | if is_reply { IS_REPLY } else { 0 };
    let sections: [Vec<u8>; SECTIONS] = [
        nodes.first().and_then(|n| n.envelope.clone()).unwrap_or_default(),
        rendered.body,
        rendered.bodystructure,
        header.unwrap_or_default(),
        records,
        strings,
        subject.into_bytes(),
        message_id,
        references.join(&b'\n'),
        keys.iter().flat_map(|k| k.to_le_bytes()).collect(),
        sent.map(sent_bytes).unwrap_or_default(),
    ];
    assemble(flags, size, lines, &sections)
}

/// A length or an index as it is kept. [`Limits::clamped`](super::Limits) keeps them all below 4 GiB.
fn small(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn assemble(flags: u32, size: u64, lines: u64, sections: &[Vec<u8>; SECTIONS]) -> Digest {
    let total = HEAD + sections.iter().map(Vec::len).sum::<usize>();
    let mut out = Vec::with_capacity(total);
    out.extend(Digest::VERSION.to_le_bytes());
    out.extend(MAGIC);
    out.extend(flags.to_le_bytes());
    out.extend(size.to_le_bytes());
    out.extend(lines.to_le_bytes());
    for section in sections {
        out.extend(small(section.len()).to_le_bytes());
    }
    out.extend(check(&out).to_le_bytes());
    let mut ends = [0; SECTIONS];
    for (section, end) in sections.iter().zip(&mut ends) {
        out.extend_from_slice(section);
        *end = out.len();
    }
    Digest::from_parts(out, ends)
}

fn records(nodes: &[Node]) -> (Vec<u8>, Vec<u8>) {
    let mut records = Vec::with_capacity(nodes.len() * RECORD);
    let mut strings = Vec::with_capacity(nodes.len() * 16);
    for node in nodes {
        for n in [node.start, node.body, node.end, node.lines] {
            records.extend(n.to_le_bytes());
        }
        records.extend(small(node.subtree).to_le_bytes());
        records.push(match node.kind {
            Kind::Leaf => 0,
            Kind::Multipart => 1,
            Kind::Message => 2,
        });
        let encoding = ENCODINGS.iter().position(|e| *e == node.encoding);
        records.push(encoding.and_then(|i| u8::try_from(i).ok()).unwrap_or(0));
        records.extend(small(strings.len()).to_le_bytes());
        let (kind, subtype) = (node.media.0.to_ascii_lowercase(), node.media.1.to_ascii_lowercase());
        for text in [&kind, &subtype, node.charset.as_ref().unwrap_or(&Vec::new())] {
            let ascii = text.iter().take(255).map(|b| if b.is_ascii() { *b } else { b'?' });
            let before = strings.len();
            strings.extend(ascii);
            records.push(u8::try_from(strings.len() - before).unwrap_or(u8::MAX));
        }
    }
    (records, strings)
}

fn sent_bytes(sent: Sent) -> Vec<u8> {
    let mut out = sent.year.to_le_bytes().to_vec();
    out.extend([sent.month, sent.day]);
    out.extend(sent.unix.to_le_bytes());
    out
}

/// Takes out repeated keys; the order of the rest stays.
fn dedup(keys: &mut Vec<u64>) {
    let mut seen = std::collections::HashSet::with_capacity(keys.len());
    keys.retain(|k| seen.insert(*k));
}
