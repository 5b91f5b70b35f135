//! What goes to the client. Many responses leave in one write; a client that does not read holds the session
//! back, so that memory is bounded; bodies are read from the storage while they are written.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use super::shape::{Shape, Shapers};
use crate::limits::Limits;
use crate::storage::{ByteStream, Storage};
use crate::types::Code;
use crate::wire::line::put_text;
use crate::wire::{Body, Line};

/// When so much is waiting, it is written, whatever the limit allows: larger writes are no faster.
const WRITE_AT: usize = 64 * 1024;

/// A response before it is written.
#[derive(Debug)]
#[non_exhaustive]
pub struct Response<'a> {
    /// The command that it answers; empty for the greeting and what nobody asked for.
    pub command: &'a str,
    /// The tag; `None` for an untagged response.
    pub tag: Option<&'a str>,
}

/// Whether a response is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// It is.
    Send,
    /// It is not.
    Drop,
}

/// Sees each response before it is written, and may change or drop it.
pub trait Filter: Send + Sync + 'static {
    /// Looks at a response.
    fn filter(&self, response: &Response<'_>, line: &mut Line) -> Keep;
}

/// Gets a copy of the traffic for debugging: `R` received, `S` sent, `E` error; secrets are masked.
pub type Traffic = Arc<dyn Fn(u64, char, &str) + Send + Sync>;

/// The way to one client.
pub struct Output {
    writer: Option<Box<dyn AsyncWrite + Send + Sync + Unpin>>,
    buffer: Vec<u8>,
    storage: Arc<dyn Storage>,
    filters: Arc<[Arc<dyn Filter>]>,
    shapers: Shapers,
    traffic: Option<Traffic>,
    connection: u64,
    write_at: usize,
    timeout: Duration,
}

impl Output {
    /// To that writer, for the connection of that number, within the limits.
    pub fn new(
        writer: Box<dyn AsyncWrite + Send + Sync + Unpin>,
        storage: Arc<dyn Storage>,
        filters: Arc<[Arc<dyn Filter>]>,
        traffic: Option<Traffic>,
        connection: u64,
        limits: &Limits,
    ) -> Self {
        Self {
            writer: Some(writer),
            buffer: Vec::new(),
            storage,
            filters,
            shapers: Shapers::new(&[], connection),
            traffic,
            connection,
            write_at: limits.unread_output.min(WRITE_AT),
            timeout: limits.unread_output_timeout,
        }
    }

    /// Shapes what is written from now on.
    pub fn shape(&mut self, shapes: &[Arc<dyn Shape>]) {
        self.shapers = Shapers::new(shapes, self.connection);
    }

    /// Takes the writer out, to put another transport around it. What waits must have been flushed.
    pub fn take_writer(&mut self) -> Option<Box<dyn AsyncWrite + Send + Sync + Unpin>> {
        self.writer.take()
    }

    /// Writes to that writer from now on.
    pub fn set_writer(&mut self, writer: Box<dyn AsyncWrite + Send + Sync + Unpin>) {
        self.writer = Some(writer);
    }

    /// The storage whose bodies are written.
    pub fn set_storage(&mut self, storage: Arc<dyn Storage>) {
        self.storage = storage;
    }

    /// Sends an untagged response that answers `command`.
    pub async fn untagged(&mut self, command: &str, line: &mut Line) -> io::Result<()> {
        self.send(&Response { command, tag: None }, line).await
    }

    /// Sends the tagged response that ends a command.
    pub async fn tagged(
        &mut self,
        command: &str,
        tag: &str,
        status: &str,
        code: Option<&Code>,
        text: &str,
    ) -> io::Result<()> {
        let mut line = status_line(tag, status, code, text);
        self.send(&Response { command, tag: Some(tag) }, &mut line).await
    }

    /// Sends an untagged OK, NO, BAD, BYE or PREAUTH.
    pub async fn status(
        &mut self,
        command: &str,
        status: &str,
        code: Option<&Code>,
        text: &str,
    ) -> io::Result<()> {
        let mut line = status_line("*", status, code, text);
        self.untagged(command, &mut line).await
    }

    /// Asks for more: a continuation request, written at once.
    pub async fn proceed(&mut self, text: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(b"+ ");
        self.buffer.extend_from_slice(text);
        self.buffer.extend_from_slice(b"\r\n");
        self.trace('S', b"+ ...");
        self.flush().await
    }

    async fn send(&mut self, response: &Response<'_>, line: &mut Line) -> io::Result<()> {
        for filter in &*self.filters {
            if filter.filter(response, line) == Keep::Drop {
                return Ok(());
            }
        }
        // A body that has gone meanwhile is noticed before its size is told.
        let mut opened = match line.bodies().first() {
            Some(body) => {
                Some(self.storage.read(&body.body, body.range.clone()).await.map_err(io::Error::other)?)
            }
            None => None,
        };
        self.trace('S', line.text());
        let mut from = 0;
        for body in line.bodies() {
            self.buffer.extend_from_slice(line.text().get(from..body.at).unwrap_or_default());
            from = body.at;
            self.write_body(body, opened.take()).await?;
        }
        self.buffer.extend_from_slice(line.text().get(from..).unwrap_or_default());
        self.buffer.extend_from_slice(b"\r\n");
        if self.buffer.len() >= self.write_at { self.empty().await } else { Ok(()) }
    }

    /// The literal's size has been told, so just as many octets must follow: if the storage has others, only
    /// the end of the connection is left.
    async fn write_body(&mut self, body: &Body, opened: Option<ByteStream>) -> io::Result<()> {
        let connection = self.connection;
        let broken = move |cause: &dyn std::fmt::Display| {
            tracing::error!(connection, %cause, "a body could not be read; closing the connection");
            io::Error::other("a body could not be read")
        };
        let mut left = body.range.end.saturating_sub(body.range.start);
        let mut octets = if let Some(octets) = opened {
            octets
        } else {
            let octets = self.storage.read(&body.body, body.range.clone()).await;
            octets.map_err(|cause| broken(&cause))?
        };
        while let Some(chunk) = octets.next().await {
            let chunk = chunk.map_err(|cause| broken(&cause))?;
            left =
                left.checked_sub(chunk.len() as u64).ok_or_else(|| broken(&"it is longer than its size"))?;
            if self.buffer.len() + chunk.len() < self.write_at {
                self.buffer.extend_from_slice(&chunk);
            } else {
                self.empty().await?;
                self.write(&chunk).await?;
            }
        }
        if left > 0 { Err(broken(&"it is shorter than its size")) } else { Ok(()) }
    }

    /// Writes what is waiting, before the client is waited for.
    pub async fn flush(&mut self) -> io::Result<()> {
        let written = self.empty().await;
        self.shapers.pause();
        written
    }

    async fn empty(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let buffer = std::mem::take(&mut self.buffer);
        let written = self.write(&buffer).await;
        self.buffer = buffer;
        self.buffer.clear();
        written?;
        self.push().await
    }

    /// Has the transport keep nothing back.
    async fn push(&mut self) -> io::Result<()> {
        let Some(writer) = &mut self.writer else { return Err(gone()) };
        tokio::time::timeout(self.timeout, writer.flush()).await.map_err(|_| stuck())?
    }

    /// Gives back memory, for a connection that waits.
    pub fn shrink(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = Vec::new();
        }
    }

    /// Ends the way to the client.
    pub async fn shutdown(&mut self) {
        let _ = self.flush().await;
        if let Some(writer) = &mut self.writer {
            let _ = tokio::time::timeout(self.timeout, writer.shutdown()).await;
        }
    }

    async fn write(&mut self, mut octets: &[u8]) -> io::Result<()> {
        // The time-out is for a client that reads nothing, not for a slow one.
        while !octets.is_empty() {
            let next = self.shapers.next(octets.len()).await;
            let next = octets.get(..self.or_lose(next)?).unwrap_or(octets);
            let Some(writer) = &mut self.writer else { return Err(gone()) };
            let written =
                tokio::time::timeout(self.timeout, writer.write(next)).await.map_err(|_| stuck())??;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            octets = octets.get(written..).unwrap_or_default();
            if !self.shapers.is_empty() {
                self.push().await?;
                let gone = self.shapers.gone(written);
                self.or_lose(gone)?;
            }
        }
        Ok(())
    }

    /// What the shapers say. Without its writer, the connection can't even say that it ends.
    fn or_lose<T>(&mut self, said: io::Result<T>) -> io::Result<T> {
        if said.is_err() {
            self.writer = None;
        }
        said
    }

    /// Shows a line of the traffic, where that is asked for.
    pub fn trace(&self, direction: char, octets: &[u8]) {
        if let Some(traffic) = &self.traffic {
            traffic(self.connection, direction, &String::from_utf8_lossy(octets));
        }
    }

    /// Whether the traffic is shown.
    pub fn is_traced(&self) -> bool {
        self.traffic.is_some()
    }
}

fn gone() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

fn stuck() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the client does not read")
}

fn status_line(tag: &str, status: &str, code: Option<&Code>, text: &str) -> Line {
    let mut line = Line::new();
    line.word(tag).sp().word(status).sp();
    if let Some(code) = code {
        line.raw(b"[").word(code.as_str()).raw(b"] ");
    }
    let mut clean = Vec::with_capacity(text.len());
    put_text(&mut clean, text);
    line.raw(&clean);
    line
}
