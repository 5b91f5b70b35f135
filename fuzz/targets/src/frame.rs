//! The framer against a model that has the whole input at once: where commands and literals end must not depend
//! on how the octets are cut, no octet is lost or told twice, none of a literal is told as a command.
//!
//! Input: an octet that says how it is cut, an octet that chooses the limits, then what a client sends. A command
//! that begins with `S` has its literals streamed, with `R` streamed and refused where the client waits; behind one that
//! begins with `I` a line is taken over, and one that begins with `L` raises the limits.

use imapper_core::Bytes;
use imapper_core::wire::{Frame, FrameLimits, Framer, NonSync};

const SMALL: FrameLimits =
    FrameLimits { line: 64, literal: 16, literals: 24, literal_count: 3, non_sync: NonSync::Any };
const LARGE: FrameLimits =
    FrameLimits { line: 256, literal: 40, literals: 60, literal_count: 5, non_sync: NonSync::Upto(30) };
const LINE: usize = 20;

/// What comes out, streamed octets joined.
#[derive(Debug, PartialEq, Eq)]
enum Event {
    Command(Vec<u8>),
    Line(Vec<u8>),
    Continue,
    Head { octets: Vec<u8>, waits: bool },
    Streamed(Vec<u8>),
    Refused(Vec<u8>),
    Overrun,
}

/// See the module.
pub fn run(input: &[u8]) {
    let [cut, mode, octets @ ..] = input else { return };
    let first = FrameLimits {
        non_sync: [NonSync::Any, NonSync::Off, NonSync::Upto(4)][usize::from(mode % 3)],
        ..SMALL
    };
    let expected = Model::new(first, octets).events();
    for seed in [0, u64::from(*cut) + 1] {
        let told = told(first, octets, seed);
        assert_eq!(told, expected, "cut by {seed}");
    }
    conserved(octets, &expected);
}

fn streams(text: &[u8]) -> bool {
    matches!(text.first(), Some(b'S' | b'R'))
}

/// Feeds the framer with pieces; 0 does not cut.
fn told(limits: FrameLimits, octets: &[u8], seed: u64) -> Vec<Event> {
    let mut framer = Framer::new(limits);
    let (mut events, mut rest, mut random) = (Vec::new(), octets, seed);
    let mut now = State { limits, line_next: false };
    while !rest.is_empty() {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let most = if seed == 0 { rest.len() } else { 1 + usize::try_from(random >> 59).unwrap() };
        let (piece, after) = rest.split_at(most.min(rest.len()));
        rest = after;
        framer.input().extend_from_slice(piece);
        if !step(&mut framer, &mut now, &mut events) {
            return events;
        }
        let held = framer.input().len();
        assert!(held <= now.limits.line.max(LINE) + 2, "{held} octets wait");
        if held == 0 {
            framer.shrink();
        }
    }
    events
}

struct State {
    limits: FrameLimits,
    line_next: bool,
}

/// Takes all frames that are complete; `false` at an overrun.
fn step(framer: &mut Framer, now: &mut State, events: &mut Vec<Event>) -> bool {
    loop {
        if framer.is_in_literal() {
            match framer.take_literal() {
                Some(octets) if octets.is_empty() => return true,
                Some(octets) => {
                    assert!(octets.len() <= 1 << 20);
                    match events.last_mut() {
                        Some(Event::Streamed(all)) => all.extend_from_slice(&octets),
                        _ => events.push(Event::Streamed(octets.to_vec())),
                    }
                }
                None => {}
            }
            continue;
        }
        let line = std::mem::take(&mut now.line_next);
        match if line { framer.next_line(LINE) } else { framer.next(streams) } {
            Frame::NeedMore => {
                now.line_next = line;
                return true;
            }
            Frame::Continue => events.push(Event::Continue),
            Frame::Command(octets) if line => events.push(Event::Line(octets.to_vec())),
            Frame::Command(octets) => {
                bounded(&octets, now.limits);
                now.line_next = octets.first() == Some(&b'I');
                if octets.first() == Some(&b'L') {
                    now.limits = LARGE;
                    framer.set_limits(LARGE);
                }
                events.push(Event::Command(octets.to_vec()));
            }
            Frame::Streamed { head, size, waits } => {
                bounded(&head, now.limits);
                events.push(Event::Head { octets: head.to_vec(), waits });
                if waits && head.first() == Some(&b'R') {
                    framer.refuse_literal();
                } else if size == 0 {
                    events.push(Event::Streamed(Vec::new()));
                }
            }
            Frame::Refused(octets) => {
                bounded(&octets, now.limits);
                events.push(Event::Refused(octets.to_vec()));
            }
            Frame::Overrun(_) => {
                events.push(Event::Overrun);
                return false;
            }
        }
    }
}

/// Whatever is announced, no more is held than the limits say.
fn bounded(octets: &Bytes, limits: FrameLimits) {
    let literals = usize::try_from(limits.literals).unwrap() + 2 * (limits.literal_count + 1);
    assert!(octets.len() <= limits.line + literals, "{} octets in one command", octets.len());
}

/// What was told, put together again, is what came; what was not told yet is at its end.
fn conserved(input: &[u8], events: &[Event]) {
    let mut again: Vec<u8> = Vec::new();
    for event in events {
        match event {
            Event::Command(octets) | Event::Line(octets) | Event::Refused(octets) => {
                again.extend_from_slice(octets);
                again.extend_from_slice(b"\r\n");
            }
            Event::Head { octets, .. } | Event::Streamed(octets) => again.extend_from_slice(octets),
            Event::Continue | Event::Overrun => {}
        }
    }
    assert!(input.starts_with(&again), "octets were lost, changed or told twice");
}

/// The same rules over the whole input at once, by search and slices.
struct Model<'a> {
    limits: FrameLimits,
    rest: &'a [u8],
    events: Vec<Event>,
}

impl<'a> Model<'a> {
    fn new(limits: FrameLimits, rest: &'a [u8]) -> Self {
        Self { limits, rest, events: Vec::new() }
    }

    fn events(mut self) -> Vec<Event> {
        while self.command().is_some() {
            let Some(Event::Command(text)) = self.events.last() else { continue };
            let first = text.first().copied();
            if first == Some(b'L') {
                self.limits = LARGE;
            }
            if first == Some(b'I') && self.line().is_none() {
                break;
            }
        }
        self.events
    }

    /// The place of the next CRLF, if the line before it fits.
    fn line_end(&mut self, most: usize) -> Option<usize> {
        let end = self.rest.windows(2).position(|two| two == b"\r\n");
        if end.unwrap_or(self.rest.len().saturating_sub(2)) > most {
            self.events.push(Event::Overrun);
            return None;
        }
        end
    }

    fn line(&mut self) -> Option<()> {
        let end = self.line_end(LINE)?;
        self.events.push(Event::Line(self.rest[..end].to_vec()));
        self.rest = &self.rest[end + 2..];
        Some(())
    }

    /// One command, or what there is of it; `None` when nothing can follow.
    fn command(&mut self) -> Option<()> {
        let (mut text_left, mut literals, mut count) = (self.limits.line, 0u64, 0);
        let mut so_far: Vec<u8> = Vec::new();
        loop {
            let end = self.line_end(text_left)?;
            text_left -= end;
            let (line, rest) = (&self.rest[..end], &self.rest[end + 2..]);
            self.rest = rest;
            so_far.extend_from_slice(line);
            let Some((size, waits)) = self.literal(line) else {
                self.events.push(Event::Command(so_far));
                return Some(());
            };
            count += 1;
            if count <= self.limits.literal_count && streams(&[&so_far[..], b"\r\n"].concat()) {
                so_far.extend_from_slice(b"\r\n");
                let refuses = waits && so_far.first() == Some(&b'R');
                self.events.push(Event::Head { octets: std::mem::take(&mut so_far), waits });
                if refuses {
                    return Some(());
                }
                self.streamed(size)?;
                continue;
            }
            literals = literals.saturating_add(size);
            let fits = size <= self.limits.literal
                && literals <= self.limits.literals
                && count <= self.limits.literal_count;
            if !fits {
                self.events.push(if waits { Event::Refused(so_far) } else { Event::Overrun });
                return waits.then_some(());
            }
            if waits {
                self.events.push(Event::Continue);
            }
            let (octets, rest) = self.rest.split_at_checked(usize::try_from(size).unwrap())?;
            so_far.extend_from_slice(b"\r\n");
            so_far.extend_from_slice(octets);
            self.rest = rest;
        }
    }

    /// Octets that go by, as far as they are there.
    fn streamed(&mut self, size: u64) -> Option<()> {
        let there = usize::try_from(size).unwrap_or(usize::MAX).min(self.rest.len());
        if there > 0 || size == 0 {
            self.events.push(Event::Streamed(self.rest[..there].to_vec()));
        }
        self.rest = &self.rest[there..];
        (there as u64 == size).then_some(())
    }

    /// The literal that a line announces at its end: its size, and whether the client waits.
    fn literal(&self, line: &[u8]) -> Option<(u64, bool)> {
        let line = String::from_utf8_lossy(line);
        let inside = line.strip_suffix('}')?.rsplit_once('{')?.1;
        let digits = inside.strip_suffix('+').unwrap_or(inside);
        let waits = digits.len() == inside.len();
        if digits.is_empty()
            || !digits.chars().all(|digit| digit.is_ascii_digit())
            || !waits && self.limits.non_sync == NonSync::Off
        {
            return None;
        }
        let size = digits.parse::<u64>().unwrap_or(u64::MAX);
        match self.limits.non_sync {
            NonSync::Upto(most) if !waits && size > most => Some((u64::MAX, false)),
            _ => Some((size, waits)),
        }
    }
}
