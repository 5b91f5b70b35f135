//! One connection of a script: bytes ↔ responses, and the transcript.

use crate::pattern::Kept;
use crate::response::{Response, lossy};
use crate::script::Part;
use crate::server::Stream;
use std::collections::VecDeque;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::time::{Instant, timeout_at};

/// More than any script asks for; a server that sends without end is stopped here.
const MAX_RESPONSE: usize = 64 << 20;
/// Octets of a line that the transcript shows.
const SHOWN: usize = 600;

/// A response and how it looked.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) shown: String,
    pub(crate) response: Response,
}

/// What was said by whom, for messages.
#[derive(Debug, Default)]
pub(crate) struct Transcript(Vec<String>);

impl Transcript {
    fn add(&mut self, who: char, session: u8, octets: &[u8]) {
        self.0.push(format!("{who}{session}: {}", shown(octets)));
    }

    pub(crate) fn text(&self) -> String {
        self.0.join("\n")
    }
}

fn shown(octets: &[u8]) -> String {
    let mut text = lossy(octets.strip_suffix(b"\r\n").unwrap_or(octets)).replace("\r\n", "\n    ");
    text = text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect();
    if let Some((end, _)) = text.char_indices().nth(SHOWN) {
        text.truncate(end);
        text.push_str(" …");
    }
    text
}

pub(crate) struct Session {
    number: u8,
    deadline: Instant,
    read: ReadHalf<Box<dyn Stream>>,
    write: WriteHalf<Box<dyn Stream>>,
    buffer: Vec<u8>,
    closed: bool,
    inbox: VecDeque<Received>,
}

impl Session {
    pub(crate) fn new(number: u8, stream: Box<dyn Stream>, deadline: Instant) -> Self {
        let (read, write) = split(stream);
        Self { number, deadline, read, write, buffer: Vec::new(), closed: false, inbox: VecDeque::new() }
    }

    /// The next response; `None` when the server has closed the connection.
    pub(crate) async fn next(&mut self, log: &mut Transcript) -> Result<Option<Received>, String> {
        if let Some(received) = self.inbox.pop_front() {
            return Ok(Some(received));
        }
        self.read_response(log).await
    }

    async fn read_response(&mut self, log: &mut Transcript) -> Result<Option<Received>, String> {
        loop {
            if let Some(end) = response_end(&self.buffer)? {
                let octets: Vec<u8> = self.buffer.drain(..end).collect();
                log.add('S', self.number, &octets);
                let line = &octets[..octets.len() - 2];
                let response = Response::parse(line).map_err(|why| format!("a malformed response: {why}"))?;
                return Ok(Some(Received { shown: shown(line), response }));
            }
            if self.closed {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Err("half a response, then the end".into())
                };
            }
            if self.buffer.len() > MAX_RESPONSE {
                return Err("a response without an end".into());
            }
            let read = timeout_at(self.deadline, self.read.read_buf(&mut self.buffer)).await;
            match read.map_err(|_| "nothing more came before the time was over".to_owned())? {
                // A reset is the end as well: the server dropped the connection.
                Ok(0) | Err(_) => self.closed = true,
                Ok(_) => {}
            }
        }
    }

    /// Sends a `C:` line. A literal that synchronizes waits for `+`; when something else answers, the
    /// rest is not sent (RFC 3501 §7.5) and the answer is left for the next `S:` line.
    pub(crate) async fn send(
        &mut self,
        parts: &[Part],
        kept: &Kept,
        log: &mut Transcript,
    ) -> Result<(), String> {
        let mut line = Vec::new();
        for part in parts {
            match part {
                Part::Text(text) => line.extend(filled(text, kept)?),
                Part::Literal { sync, octets } => {
                    let octets = filled(octets, kept)?;
                    let plus = if *sync { "" } else { "+" };
                    line.extend(format!("{{{}{plus}}}\r\n", octets.len()).into_bytes());
                    if *sync {
                        self.write(&std::mem::take(&mut line), log).await?;
                        if !self.may_go_on(log).await? {
                            return Ok(());
                        }
                    }
                    line.extend(octets);
                }
            }
        }
        if let Some(unended) = line.strip_suffix(b"<nocrlf>") {
            line.truncate(unended.len());
        } else {
            line.extend(b"\r\n");
        }
        self.write(&line, log).await
    }

    /// Waits for `+`; what comes before it is kept for later.
    async fn may_go_on(&mut self, log: &mut Transcript) -> Result<bool, String> {
        loop {
            let Some(received) = self.read_response(log).await? else { return Ok(false) };
            if matches!(received.response, Response::Continue(_)) {
                return Ok(true);
            }
            let refused = received.response.tag().is_some();
            self.inbox.push_back(received);
            if refused {
                return Ok(false);
            }
        }
    }

    /// Writes while reading, so that neither side waits for the other to read.
    async fn write(&mut self, mut octets: &[u8], log: &mut Transcript) -> Result<(), String> {
        log.add('C', self.number, octets);
        while !octets.is_empty() {
            let step = async {
                tokio::select! {
                    wrote = self.write.write(octets) => Some(wrote),
                    read = self.read.read_buf(&mut self.buffer), if !self.closed => {
                        self.closed |= !matches!(read, Ok(1..));
                        None
                    }
                }
            };
            match timeout_at(self.deadline, step).await {
                Err(_) => return Err("the server did not read before the time was over".into()),
                Ok(None) => {}
                Ok(Some(Ok(wrote @ 1..))) => octets = &octets[wrote..],
                // The server is gone: the lines that follow say whether it should be.
                Ok(Some(_)) => return Ok(()),
            }
        }
        // A server that is gone shows when it is read from.
        let _ = timeout_at(self.deadline, self.write.flush()).await;
        Ok(())
    }
}

/// Where the first whole response ends, its literals and last CRLF included.
pub(crate) fn response_end(buffer: &[u8]) -> Result<Option<usize>, String> {
    let mut from = 0;
    loop {
        let Some(newline) = buffer[from..].iter().position(|&b| b == b'\n') else { return Ok(None) };
        let end = from + newline + 1;
        let line = buffer[from..end].strip_suffix(b"\r\n").ok_or("a line that ends in LF without CR")?;
        match literal_size(line).filter(|_| !is_text(buffer)) {
            None => return Ok(Some(end)),
            Some(size) => from = end.saturating_add(size),
        }
        if from > buffer.len() {
            return Ok(None);
        }
    }
}

/// A `{12}` at the end of a status' or continuation's text is text.
fn is_text(buffer: &[u8]) -> bool {
    let mut words = buffer.split(|&b| b == b' ');
    let first = words.next().unwrap_or_default();
    first == b"+" || matches!(words.next(), Some(b"OK" | b"NO" | b"BAD" | b"BYE" | b"PREAUTH"))
}

/// The size of a literal that a line announces at its end.
pub(crate) fn literal_size(line: &[u8]) -> Option<usize> {
    let inner = line.strip_suffix(b"}")?;
    let open = inner.iter().rposition(|&b| b == b'{')?;
    std::str::from_utf8(&inner[open + 1..]).ok()?.parse().ok()
}

/// Fills in `<=name>`, `<raw:0d ff>` and `<rep:x:500>`.
fn filled(text: &[u8], kept: &Kept) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.iter().position(|&b| b == b'<') {
        out.extend(&rest[..open]);
        rest = &rest[open..];
        let inner = rest.iter().position(|&b| b == b'>').map(|close| lossy(&rest[1..close]));
        let octets = match inner.as_deref() {
            Some(inner) if inner.starts_with('=') => Some(
                kept.get(&inner[1..])
                    .cloned()
                    .ok_or_else(|| format!("nothing was kept as `{}`", &inner[1..]))?,
            ),
            Some(inner) if inner.starts_with("raw:") => Some(hex(&inner[4..])?),
            Some(inner) if inner.starts_with("rep:") => Some(repeated(&inner[4..])?),
            _ => None,
        };
        if let (Some(octets), Some(inner)) = (octets, inner) {
            out.extend(octets);
            rest = &rest[inner.len() + 2..];
        } else {
            out.push(b'<');
            rest = &rest[1..];
        }
    }
    out.extend(rest);
    Ok(out)
}

fn hex(digits: &str) -> Result<Vec<u8>, String> {
    let bytes = digits.split(' ').filter(|pair| !pair.is_empty()).map(|pair| u8::from_str_radix(pair, 16));
    bytes
        .collect::<Result<_, _>>()
        .map_err(|_| format!("`{digits}` are no octets in hexadecimal, as in `0d ff`"))
}

fn repeated(what: &str) -> Result<Vec<u8>, String> {
    let (text, count) = what.rsplit_once(':').ok_or("`<rep:TEXT:COUNT>`")?;
    let count: usize = count.parse().map_err(|_| format!("`{count}` is no number"))?;
    Ok(text.as_bytes().repeat(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_end_after_their_literals() {
        for (buffer, end) in [
            (&b"* OK x\r\n* OK y\r\n"[..], Some(8)),
            (b"* 1 FETCH (A {30}\r\nx\r\n)\r\n", None),
            (b"* 1 FETCH (A {3}\r\nx\r\n)\r\n", Some(24)),
            (b"a1 NO text {9}\r\n", Some(16)),
            (b"* OK x", None),
            (b"* 1 FETCH (A {99999999999}\r\nx", None),
        ] {
            assert_eq!(response_end(buffer), Ok(end), "{}", lossy(buffer));
        }
        assert!(response_end(b"* OK x\n").is_err());
    }

    #[test]
    fn a_line_is_filled_in() {
        let kept = Kept::from([("uid".to_owned(), b"7".to_vec())]);
        let filled = |text: &str| filled(text.as_bytes(), &kept).map(|octets| lossy(&octets));
        assert_eq!(filled("UID FETCH <=uid>:*").as_deref(), Ok("UID FETCH 7:*"));
        assert_eq!(filled("<raw:41 0d><rep:ab:3>").as_deref(), Ok("A\rababab"));
        assert_eq!(
            filled("Message-ID: <a@b> < BODY[]<0.5>").as_deref(),
            Ok("Message-ID: <a@b> < BODY[]<0.5>")
        );
        assert!(filled("<=none>").is_err());
        assert!(filled("<raw:zz>").is_err());
    }
}
