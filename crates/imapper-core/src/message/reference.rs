//! A slow parser to compare the fast one with: all lines in memory, one function for one entity,
//! recursion where the grammar of RFC 2046 has it. For tests only.

use super::Limits;
use super::content::Content;
use super::header::{fields, is_blank, trim_end};

/// Start, body and end of each entity, in the order of their headers.
pub(super) type Shape = Vec<(u64, u64, u64)>;

struct Entity {
    start: usize,
    body: usize,
    /// The line that ends it.
    stop: usize,
    children: Vec<Entity>,
    /// It holds one without content, for it must hold something.
    hollow: bool,
}

struct Reference<'a> {
    message: &'a [u8],
    /// Where each line starts, and the end of the message.
    lines: Vec<usize>,
}

/// What ended an entity: the level of the boundary, and whether it was the last one.
type Stop = Option<(usize, bool)>;

pub(super) fn shape(message: &[u8]) -> Shape {
    let breaks = message.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(i, _)| i + 1);
    let mut lines: Vec<usize> = std::iter::once(0).chain(breaks).collect();
    if lines.last() != Some(&message.len()) {
        lines.push(message.len());
    }
    let reference = Reference { message, lines };
    let mut line = 0;
    let (root, _) = reference.entity(&mut line, &mut Vec::new(), false);
    let mut shape = Shape::new();
    reference.flatten(&root, message.len(), &mut shape);
    shape
}

impl Reference<'_> {
    fn line(&self, i: usize) -> Option<&[u8]> {
        Some(&self.message[*self.lines.get(i)?..*self.lines.get(i + 1)?])
    }

    fn start(&self, i: usize) -> usize {
        self.lines.get(i).copied().unwrap_or(self.message.len())
    }

    fn boundary(line: &[u8], open: &[Vec<u8>]) -> Stop {
        let text = trim_end(line.strip_prefix(b"--")?);
        open.iter().enumerate().rev().find_map(|(level, boundary)| {
            let closing = [boundary, &b"--"[..]].concat();
            (text == boundary || text == closing).then(|| (level, text == closing))
        })
    }

    /// Goes to the next boundary of those that are open, or to the end.
    fn skip(&self, at: &mut usize, open: &[Vec<u8>]) -> Stop {
        while let Some(line) = self.line(*at) {
            if let Some(stop) = Self::boundary(line, open) {
                return Some(stop);
            }
            *at += 1;
        }
        None
    }

    fn entity(&self, at: &mut usize, open: &mut Vec<Vec<u8>>, in_digest: bool) -> (Entity, Stop) {
        let start = self.start(*at);
        let mut stop = None;
        let mut has_body = false;
        while let Some(line) = self.line(*at) {
            stop = Self::boundary(line, open);
            if stop.is_some() {
                break;
            }
            *at += 1;
            if is_blank(line) {
                has_body = true;
                break;
            }
        }
        let body = self.start(*at);
        let mut content = Content::default();
        for field in fields(&self.message[start..body]) {
            content.field(&field, &Limits::default());
        }
        let (kind, subtype) = content.media.clone().unwrap_or_default();
        let is_message = kind == b"MESSAGE" && (subtype == b"RFC822" || subtype == b"GLOBAL");
        let is_message = is_message || content.media.is_none() && in_digest;
        let boundary = content.param("BOUNDARY").map(|b| trim_end(&b).to_vec()).filter(|b| !b.is_empty());
        let boundary = boundary.filter(|_| kind == b"MULTIPART");
        let mut entity =
            Entity { start, body, stop: *at, children: Vec::new(), hollow: is_message || boundary.is_some() };
        if !has_body {
            return (entity, stop);
        }
        if let Some(boundary) = boundary {
            open.push(boundary);
            stop = self.parts(at, open, subtype == b"DIGEST", &mut entity);
            if stop.is_none_or(|(level, closes)| closes && level + 1 == open.len()) {
                open.pop();
                stop = self.skip(at, open);
            } else {
                open.pop();
            }
        } else if is_message {
            let (inner, end) = self.entity(at, open, false);
            entity.children.push(inner);
            stop = end;
        } else {
            stop = self.skip(at, open);
        }
        entity.stop = *at;
        entity.hollow &= entity.children.is_empty();
        (entity, stop)
    }

    /// The parts of the innermost multipart, with the line after its last boundary as the next one.
    fn parts(&self, at: &mut usize, open: &mut Vec<Vec<u8>>, in_digest: bool, entity: &mut Entity) -> Stop {
        let mut stop = self.skip(at, open);
        while let Some((level, closes)) = stop {
            if level + 1 < open.len() {
                break;
            }
            *at += 1;
            if closes {
                break;
            }
            let (part, end) = self.entity(at, open, in_digest);
            entity.children.push(part);
            stop = end;
        }
        stop
    }

    fn flatten(&self, entity: &Entity, limit: usize, out: &mut Shape) {
        let stop = self.start(entity.stop);
        let before = &self.message[..stop];
        let line_break = if before.ends_with(b"\r\n") { 2 } else { usize::from(before.ends_with(b"\n")) };
        let end = if self.line(entity.stop).is_some() { stop - line_break } else { stop };
        let end = end.max(entity.body).min(stop).min(limit);
        let body = entity.body.min(end);
        out.push((entity.start.min(body) as u64, body as u64, end as u64));
        if entity.hollow {
            out.push((end as u64, end as u64, end as u64));
        }
        for child in &entity.children {
            self.flatten(child, end, out);
        }
    }
}
