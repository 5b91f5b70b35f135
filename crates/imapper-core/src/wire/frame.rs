//! Where a command ends (RFC 9051 §2.2.1, §4.3; RFC 7888). The framer knows literals, and nothing of what
//! stands around them: the octets of a literal never become a command, whatever the command was.

use bytes::{Bytes, BytesMut};

/// Whether a client may send a literal without waiting (RFC 7888).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NonSync {
    /// `{n+}` is no literal.
    #[default]
    Off,
    /// Up to that many octets.
    Upto(u64),
    /// Of any size within the limits.
    Any,
}

/// How much a client may send. Others hold before login than after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLimits {
    /// Octets of a command's text, literals left out.
    pub line: usize,
    /// Octets of one literal that is held in memory.
    pub literal: u64,
    /// Octets of all literals of a command that are held in memory.
    pub literals: u64,
    /// Literals of a command.
    pub literal_count: usize,
    /// Literals without waiting.
    pub non_sync: NonSync,
}

/// What the octets so far come to.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    /// More octets are needed.
    NeedMore,
    /// A continuation request must be sent, then more octets come.
    Continue,
    /// A command, with the octets of its literals in their places and without its CRLF.
    Command(Bytes),
    /// A command up to the head of a literal, CRLF included, that is not held in memory: see
    /// [`Framer::take_literal`] and [`Framer::refuse_literal`].
    Streamed {
        /// The command so far.
        head: Bytes,
        /// The literal's size in octets.
        size: u64,
        /// Whether the client waits for a continuation request.
        waits: bool,
    },
    /// A literal is over a limit. The client waits, and will not send it: a tagged answer ends the command,
    /// of which this is the text.
    Refused(Bytes),
    /// What comes can't be delimited, or is over a limit and on its way: only the end of the connection is
    /// left.
    Overrun(&'static str),
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    /// In the text of a command.
    Text,
    /// In a literal that is held: so many octets are still to come.
    Literal(usize),
    /// In a literal that goes elsewhere.
    Streamed(u64),
}

/// Turns octets into commands. Holds at most what the limits allow.
#[derive(Debug)]
pub struct Framer {
    limits: FrameLimits,
    input: BytesMut,
    /// The command so far: text and held literals.
    command: BytesMut,
    state: State,
    text_len: usize,
    literals_len: u64,
    literal_count: usize,
    /// How much of `input` holds no line end.
    searched: usize,
}

impl Framer {
    /// At the beginning of a connection.
    pub fn new(limits: FrameLimits) -> Self {
        Self {
            limits,
            input: BytesMut::new(),
            command: BytesMut::new(),
            state: State::Text,
            text_len: 0,
            literals_len: 0,
            literal_count: 0,
            searched: 0,
        }
    }

    /// Other limits from now on: after login.
    pub const fn set_limits(&mut self, limits: FrameLimits) {
        self.limits = limits;
    }

    /// Where octets of the peer are to be added.
    pub const fn input(&mut self) -> &mut BytesMut {
        &mut self.input
    }

    /// Whether octets are there that belong to no command yet.
    pub fn has_input(&self) -> bool {
        !self.input.is_empty()
    }

    /// Whether the next octet would begin a new command.
    pub fn is_between_commands(&self) -> bool {
        self.state == State::Text && self.command.is_empty() && self.input.is_empty()
    }

    /// Throws away what came and was not read: after STARTTLS (RFC 9051 §6.2.1) it is an attacker's. Tells
    /// whether there was anything.
    pub fn discard(&mut self) -> bool {
        let any = self.has_input();
        self.input = BytesMut::new();
        self.searched = 0;
        any
    }

    /// Gives back memory that is not used, for a connection that waits.
    pub fn shrink(&mut self) {
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
        if self.command.is_empty() {
            self.command = BytesMut::new();
        }
    }

    /// What the octets so far come to. `streams` is asked about a command up to its first literal, whether
    /// that literal goes elsewhere instead of into memory.
    pub fn next(&mut self, streams: impl Fn(&[u8]) -> bool) -> Frame {
        loop {
            match self.state {
                State::Text => {
                    let Some(end) = self.line_end() else {
                        let too_long = self.text_len + self.input.len() > self.limits.line + 2;
                        return if too_long {
                            Frame::Overrun("the command line is too long")
                        } else {
                            Frame::NeedMore
                        };
                    };
                    if self.text_len + end > self.limits.line {
                        return Frame::Overrun("the command line is too long");
                    }
                    let line = self.input.split_to(end + 2);
                    self.searched = 0;
                    self.text_len += end;
                    self.command.extend_from_slice(&line);
                    let Some(literal) = Head::at_end_of(&line[..end], self.limits.non_sync) else {
                        return Frame::Command(self.finish(2));
                    };
                    if let Some(frame) = self.begin_literal(&literal, &streams) {
                        return frame;
                    }
                }
                State::Literal(left) => {
                    let now = left.min(self.input.len());
                    self.command.extend_from_slice(&self.input.split_to(now));
                    self.searched = 0;
                    if now < left {
                        self.state = State::Literal(left - now);
                        return Frame::NeedMore;
                    }
                    self.state = State::Text;
                }
                State::Streamed(_) => return Frame::NeedMore,
            }
        }
    }

    /// The next line as it is, without its CRLF, for whoever takes the input over (IDLE, AUTHENTICATE). A
    /// line that is longer than `max` octets can't be taken.
    pub fn next_line(&mut self, max: usize) -> Frame {
        match self.line_end() {
            Some(end) if end <= max => {
                let mut line = self.input.split_to(end + 2);
                self.searched = 0;
                line.truncate(end);
                Frame::Command(line.freeze())
            }
            None if self.input.len() <= max + 2 => Frame::NeedMore,
            _ => Frame::Overrun("the line is too long"),
        }
    }

    /// Octets of the literal that goes elsewhere; `None` when it is complete, then the text behind it comes
    /// by [`Framer::next`]. Empty: more octets are needed.
    pub fn take_literal(&mut self) -> Option<Bytes> {
        let State::Streamed(left) = self.state else { return None };
        if left == 0 {
            self.state = State::Text;
            return None;
        }
        let now = self.input.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        self.state = State::Streamed(left - now as u64);
        Some(self.input.split_to(now).freeze())
    }

    /// The literal that goes elsewhere will not come: the command has been answered.
    pub fn refuse_literal(&mut self) {
        self.state = State::Text;
        self.reset();
    }

    /// The command that a streamed literal belonged to has been answered before all of it came: what is
    /// left of the literal must be taken with [`Framer::take_literal`], then the rest of its text with
    /// [`Framer::next`], and both be thrown away.
    pub fn is_in_literal(&self) -> bool {
        matches!(self.state, State::Streamed(_))
    }

    fn begin_literal(&mut self, literal: &Head, streams: &impl Fn(&[u8]) -> bool) -> Option<Frame> {
        let waits = !literal.non_sync;
        self.literal_count += 1;
        if self.literal_count <= self.limits.literal_count && streams(&self.command) {
            self.state = State::Streamed(literal.size);
            let head = self.command.split().freeze();
            return Some(Frame::Streamed { head, size: literal.size, waits });
        }
        let sum = self.literals_len.saturating_add(literal.size);
        let fits = literal.size <= self.limits.literal
            && sum <= self.limits.literals
            && self.literal_count <= self.limits.literal_count;
        match usize::try_from(literal.size) {
            Ok(size) if fits => {
                self.literals_len = sum;
                self.state = State::Literal(size);
                waits.then_some(Frame::Continue)
            }
            _ if waits => {
                let head = self.finish(2);
                Some(Frame::Refused(head))
            }
            // RFC 7888 §4: the octets are on their way, and must not be taken for commands.
            _ => Some(Frame::Overrun("the literal is too large")),
        }
    }

    fn finish(&mut self, tail: usize) -> Bytes {
        let mut command = self.command.split();
        command.truncate(command.len().saturating_sub(tail));
        self.reset();
        command.freeze()
    }

    fn reset(&mut self) {
        self.command.clear();
        self.text_len = 0;
        self.literals_len = 0;
        self.literal_count = 0;
    }

    /// Where the next CRLF stands. Only CRLF ends a line: a lone LF in a string that somebody forgot to
    /// encode must not begin a command.
    fn line_end(&mut self) -> Option<usize> {
        let found =
            memchr::memmem::find(self.input.get(self.searched..)?, b"\r\n").map(|at| at + self.searched);
        // A CR at the end may be the first half.
        self.searched = if found.is_some() { 0 } else { self.input.len().saturating_sub(1) };
        found
    }
}

/// The head of a literal, `{n}` or `{n+}`, at the end of a line.
struct Head {
    size: u64,
    non_sync: bool,
}

impl Head {
    fn at_end_of(line: &[u8], allowed: NonSync) -> Option<Self> {
        let inside = line.strip_suffix(b"}")?;
        // Also behind a quote that is not closed: to take octets of a literal for commands would be worse
        // than to wait for them.
        let open = inside.iter().rposition(|&byte| byte == b'{')?;
        let digits = inside.get(open + 1..)?;
        let (digits, non_sync) = match digits.strip_suffix(b"+") {
            Some(digits) => (digits, true),
            None => (digits, false),
        };
        if digits.is_empty()
            || !digits.iter().all(u8::is_ascii_digit)
            || (non_sync && allowed == NonSync::Off)
        {
            return None;
        }
        // What does not fit is larger than any limit.
        let size = digits
            .iter()
            .try_fold(0u64, |size, digit| size.checked_mul(10)?.checked_add(u64::from(digit - b'0')));
        let size = match (size.unwrap_or(u64::MAX), allowed) {
            // RFC 7888 §5: over the bound of LITERAL-, so that it counts as too large.
            (size, NonSync::Upto(most)) if non_sync && size > most => u64::MAX,
            (size, _) => size,
        };
        Some(Self { size, non_sync })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: FrameLimits =
        FrameLimits { line: 64, literal: 16, literals: 24, literal_count: 3, non_sync: NonSync::Any };

    /// All frames of the input, fed in pieces, with continuation requests answered by what follows.
    fn frames(limits: FrameLimits, input: &[u8], piece: usize) -> Vec<Frame> {
        let mut framer = Framer::new(limits);
        let mut frames = Vec::new();
        for piece in input.chunks(piece) {
            framer.input().extend_from_slice(piece);
            loop {
                match framer.next(|head| head.starts_with(b"S")) {
                    Frame::NeedMore if framer.is_in_literal() => match framer.take_literal() {
                        Some(octets) if octets.is_empty() => break,
                        Some(octets) => frames.push(Frame::Command(octets)),
                        None => {}
                    },
                    Frame::NeedMore => break,
                    Frame::Overrun(why) => {
                        frames.push(Frame::Overrun(why));
                        return frames;
                    }
                    frame => frames.push(frame),
                }
            }
        }
        frames
    }

    fn command(text: &str) -> Frame {
        Frame::Command(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn commands_and_literals() {
        let input = b"a NOOP\r\nb LOGIN {4}\r\nuser {2+}\r\npw\r\nc X \"q{3}\"\r\n";
        for piece in [1, 2, 3, 7, 100] {
            assert_eq!(
                frames(LIMITS, input, piece),
                [
                    command("a NOOP"),
                    Frame::Continue,
                    command("b LOGIN {4}\r\nuser {2+}\r\npw"),
                    command("c X \"q{3}\"")
                ]
            );
        }
    }

    #[test]
    fn a_literal_of_any_command_is_never_a_command() {
        // Dovecot runs the second line (it was tried with 2.3.19 and 2.4.4).
        let input = b"a UNKNOWN {8+}\r\nb NOOP\r\n\r\nc NOOP\r\n";
        assert_eq!(frames(LIMITS, input, 5), [command("a UNKNOWN {8+}\r\nb NOOP\r\n"), command("c NOOP")]);
    }

    #[test]
    fn over_a_limit_the_client_that_waits_is_refused_and_the_other_cut_off() {
        assert_eq!(
            frames(LIMITS, b"a X {17}\r\nb NOOP\r\n", 100),
            [Frame::Refused(Bytes::from_static(b"a X {17}")), command("b NOOP")]
        );
        assert!(matches!(frames(LIMITS, b"a X {17+}\r\n", 100)[..], [Frame::Overrun(_)]));
        assert!(matches!(frames(LIMITS, b"a X {99999999999999999999}\r\n", 100)[..], [Frame::Refused(_)]));
        let sum = b"a X {16+}\r\n0123456789abcdef {9}\r\n";
        assert!(matches!(frames(LIMITS, sum, 100)[..], [Frame::Refused(_)]));
        let many = b"a X {1+}\r\n1 {1+}\r\n2 {1+}\r\n3 {0}\r\n";
        assert!(matches!(frames(LIMITS, many, 100)[..], [Frame::Refused(_)]));
    }

    #[test]
    fn a_line_has_a_bound_whether_or_not_it_ends() {
        let at = [vec![b'x'; 64], b"\r\n".to_vec()].concat();
        assert!(matches!(frames(LIMITS, &at, 10)[..], [Frame::Command(_)]));
        assert!(matches!(
            frames(LIMITS, &[vec![b'x'; 65], b"\r\n".to_vec()].concat(), 100)[..],
            [Frame::Overrun(_)]
        ));
        assert!(matches!(frames(LIMITS, &[b'x'; 70], 10)[..], [Frame::Overrun(_)]));
        // A literal between does not reset the count.
        let around = [vec![b'x'; 40], b"{1+}\r\n1".to_vec(), vec![b'x'; 40]].concat();
        assert!(matches!(frames(LIMITS, &around, 100)[..], [Frame::Overrun(_)]));
    }

    #[test]
    fn non_synchronizing_literals_follow_the_extension() {
        let off = FrameLimits { non_sync: NonSync::Off, ..LIMITS };
        assert_eq!(frames(off, b"a X {2+}\r\nb Y\r\n", 100), [command("a X {2+}"), command("b Y")]);
        let minus = FrameLimits { non_sync: NonSync::Upto(4), ..LIMITS };
        assert_eq!(frames(minus, b"a X {4+}\r\n1234\r\n", 100), [command("a X {4+}\r\n1234")]);
        assert!(matches!(frames(minus, b"a X {5+}\r\n", 100)[..], [Frame::Overrun(_)]));
    }

    #[test]
    fn a_streamed_literal_goes_by() {
        let input = b"S 1 {40}\r\n0123456789012345678901234567890123456789 tail\r\nb NOOP\r\n";
        let got = frames(LIMITS, input, 8);
        assert_eq!(
            got[0],
            Frame::Streamed { head: Bytes::from_static(b"S 1 {40}\r\n"), size: 40, waits: true }
        );
        let octets: usize =
            got[1..got.len() - 2].iter().map(|f| if let Frame::Command(o) = f { o.len() } else { 0 }).sum();
        assert_eq!(octets, 40);
        assert_eq!(got[got.len() - 2..], [command(" tail"), command("b NOOP")]);
    }

    #[test]
    fn a_lone_lf_ends_nothing() {
        assert_eq!(frames(LIMITS, b"a X \"\nb NOOP\r\n", 100), [command("a X \"\nb NOOP")]);
    }

    proptest! {
        #[test]
        fn how_octets_are_cut_does_not_matter(input in "([a-cS{}+0-9 \"]|\r\n|\n){0,80}", piece in 1usize..20) {
            let whole = frames(LIMITS, input.as_bytes(), 1000);
            let cut = frames(LIMITS, input.as_bytes(), piece);
            let join = |frames: Vec<Frame>| frames.iter().fold(String::new(), |all, frame| all + &match frame {
                Frame::Command(octets) => String::from_utf8_lossy(octets).into_owned(),
                frame => format!("{frame:?}"),
            });
            prop_assert_eq!(join(whole), join(cut));
        }
    }
}
