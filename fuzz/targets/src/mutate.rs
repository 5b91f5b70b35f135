//! Inputs made of those of the corpus, for runs without libFuzzer: always the same ones for the same seed.

/// A generator of numbers (xorshift64*), small and the same everywhere.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Begins with that seed.
    pub const fn new(seed: u64) -> Self {
        // 0 would stay 0.
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`; 0 if there is none.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 16).unwrap_or_default().checked_rem(end).unwrap_or_default()
    }

    fn of<'a>(&mut self, octets: &'a [u8], most: usize) -> &'a [u8] {
        let from = self.below(octets.len() + 1);
        let len = self.below(most.min(octets.len() - from) + 1);
        &octets[from..from + len]
    }
}

/// What means something to one parser or the other.
const TOKENS: &[&str] = &[
    "\r\n",
    "\n",
    "\r",
    "\0",
    " ",
    "\t",
    "(",
    ")",
    "((((((((",
    "\"",
    "\\",
    "\\\"",
    "{",
    "}",
    "{3}\r\nabc",
    "{3+}\r\nabc",
    "{0}\r\n",
    "{99999999999}\r\n",
    "{+}\r\n",
    "*",
    "%",
    ":",
    ",",
    "1:*",
    "1:4294967295",
    "4294967296",
    "4294967297",
    "0",
    "9223372036854775808",
    "&",
    "&-",
    "&U,BTFw-",
    "&AGE-",
    "--",
    "--b\r\n",
    "--b--\r\n",
    "\r\n--a\r\n",
    "NIL",
    "NOT ",
    "OR ",
    "INBOX",
    "/",
    "\u{fc}",
    "[",
    "]",
    "<0.1>",
    "BODY[",
    ".",
    "1.1.1.",
    "HEADER.FIELDS (",
    "\\Seen",
    "$Junk",
    "\r\n\r\n",
    "Content-Type: message/rfc822\r\n\r\n",
    "Content-Type: multipart/mixed; boundary=b\r\n\r\n",
    "=?utf-8?q?=C3?=",
    "; a*0*=",
    "Subject: ",
    "To: (",
    "S {5+}\r\n",
    "DONE\r\n",
    "a NOOP\r\n",
    "17-Jul-1996",
    "\"17-Jul-1996 02:44:25 -0700\"",
];

/// Another input, made of one of the corpus by one to four changes.
pub fn mutate(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut input = corpus.get(random.below(corpus.len())).cloned().unwrap_or_default();
    for _ in 0..=random.below(4) {
        change(random, &mut input, corpus);
    }
    // An input need not be long to be odd, and a run of thousands of long ones takes long.
    input.truncate(2 * 1024);
    input
}

fn change(random: &mut Random, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
    let at = random.below(input.len() + 1);
    match random.below(9) {
        0 => {
            if let Some(octet) = input.get_mut(at) {
                *octet ^= 1 << random.below(8);
            }
        }
        1 => {
            if let Some(octet) = input.get_mut(at) {
                *octet = random.next().to_le_bytes()[3];
            }
        }
        2 | 3 => drop(input.splice(at..at, TOKENS[random.below(TOKENS.len())].bytes())),
        4 => {
            let end = input.len().min(at + 1 + random.below(16));
            input.drain(at.min(end)..end);
        }
        5 => input.truncate(at),
        6 => {
            let piece = random.of(input, 40).to_vec();
            input.splice(at..at, piece);
        }
        7 => {
            let piece = random.of(input, 12).repeat(1 + random.below(20));
            input.splice(at..at, piece);
        }
        _ => {
            let Some(other) = corpus.get(random.below(corpus.len())) else { return };
            let piece = random.of(other, usize::MAX).to_vec();
            let end = (at + random.below(piece.len() + 1)).min(input.len());
            input.splice(at..end, piece);
        }
    }
}
