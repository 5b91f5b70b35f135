//! One connection: octets come in, become commands, and answers go out. Reads and waits for everything that a
//! session waits for.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::tls;
use crate::dispatch::{Next, Session};
use crate::registry::{Reader, Upgrade};
use crate::session::Upload;
use crate::session::upload::{Request, Text};
use crate::types::Code;
use crate::wire::{Frame, Framer};

/// How many octets are read at once.
const READ: usize = 16 * 1024;
/// Room for the first octets of a client that has been silent.
const READ_IDLE: usize = 1024;

/// A connection whose session has begun.
pub(crate) struct Connection {
    pub(crate) session: Session,
    pub(crate) reader: Reader,
    pub(crate) tls: Option<Arc<ServerConfig>>,
    pub(crate) stop: CancellationToken,
    pub(crate) since: Instant,
}

/// Why a connection ends without a word.
enum End {
    /// The session has said what there is to say.
    Said,
    /// The client hung up, or the socket failed.
    Gone,
}

impl Connection {
    /// Serves the client until it leaves, or has to.
    pub(crate) async fn run(mut self) {
        let mut framer = Framer::new(self.session.frame_limits());
        let end = match self.session.greet().await {
            Ok(()) => self.serve(&mut framer).await,
            Err(_) => End::Gone,
        };
        if matches!(end, End::Said) {
            self.session.out().shutdown().await;
        }
        tracing::debug!(connection = self.session.connection().id, "closed");
    }

    async fn serve(&mut self, framer: &mut Framer) -> End {
        let mut heard = Instant::now();
        let mut answered = 0;
        loop {
            framer.set_limits(self.session.frame_limits());
            let waiting = self.session.max_line();
            let frame = match waiting {
                Some(max) => framer.next_line(max),
                None => framer.next(|text| self.session.streams(text)),
            };
            let runs = matches!(frame, Frame::Command(_) | Frame::Streamed { .. });
            let next = match frame {
                Frame::NeedMore => {
                    answered = 0;
                    match self.wait(framer, &mut heard).await {
                        Ok(next) => next,
                        Err(end) => return end,
                    }
                }
                Frame::Continue => match self.session.out().proceed(b"Ready for the literal").await {
                    Ok(()) => Next::Go,
                    Err(_) => return End::Gone,
                },
                Frame::Command(line) if waiting.is_some() => self.session.line(&line).await,
                Frame::Command(command) => self.command(framer, &command).await,
                Frame::Streamed { head, size, waits } => {
                    match self.upload(framer, &head, size, waits).await {
                        Ok(next) => next,
                        Err(end) => return end,
                    }
                }
                Frame::Refused(command) => self.session.refused(&command).await,
                Frame::Overrun(why) => {
                    let _ = self.session.bye(Some(&Code::TOOBIG), why).await;
                    return End::Said;
                }
            };
            if runs {
                // Nobody is silent while being answered, however long that takes.
                heard = Instant::now();
                answered += 1;
            }
            if answered >= self.session.limits().pipelined {
                // Whoever sends without reading is held back here.
                answered = 0;
                if self.session.out().flush().await.is_err() {
                    return End::Gone;
                }
            }
            match next {
                Next::Go => {}
                Next::Close => return End::Said,
                Next::Upgrade(upgrade) => {
                    if self.upgrade(framer, upgrade).await.is_err() {
                        return End::Gone;
                    }
                }
            }
        }
    }

    /// Runs a command. Meanwhile a little is read ahead, so that it is noticed when the client hangs up.
    async fn command(&mut self, framer: &mut Framer, command: &[u8]) -> Next {
        let leaving = self.session.leaving();
        let run = self.session.command(command, None);
        tokio::pin!(run);
        loop {
            let may_read = !leaving.is_cancelled() && framer.input().len() < READ;
            tokio::select! {
                biased;
                next = &mut run => return next,
                read = self.reader.read_buf(framer.input()), if may_read => {
                    if !matches!(read, Ok(1..)) {
                        leaving.cancel();
                    }
                }
            }
        }
    }

    /// Waits for octets, and for whatever else may happen meanwhile.
    async fn wait(&mut self, framer: &mut Framer, heard: &mut Instant) -> Result<Next, End> {
        self.session.out().flush().await.map_err(|_| End::Gone)?;
        if framer.is_between_commands() {
            framer.shrink();
            self.session.out().shrink();
        }
        let room = if framer.has_input() { READ } else { READ_IDLE };
        framer.input().reserve(room);
        let deadline = if self.session.is_authenticated() {
            *heard + self.session.limits().idle_timeout
        } else {
            self.since + self.session.limits().login_timeout
        };
        tokio::select! {
            read = self.reader.read_buf(framer.input()) => match read {
                Ok(0) | Err(_) => Err(End::Gone),
                Ok(_) => {
                    *heard = Instant::now();
                    Ok(Next::Go)
                }
            },
            () = self.session.changed() => Ok(self.session.tell().await),
            () = tokio::time::sleep_until(deadline) => {
                let _ = self.session.bye(None, "no command came for too long").await;
                Ok(Next::Close)
            }
            () = self.stop.cancelled() => {
                let _ = self.session.bye(Some(&Code::UNAVAILABLE), "the server is shutting down").await;
                Ok(Next::Close)
            }
        }
    }

    /// Runs a command whose literal goes by.
    async fn upload(
        &mut self,
        framer: &mut Framer,
        head: &[u8],
        size: u64,
        waits: bool,
    ) -> Result<Next, End> {
        let limits = self.session.limits();
        let most = if self.session.is_authenticated() { limits.append } else { limits.literals_before_login };
        if !waits && size > most {
            // It is on its way, and would have to be read off (RFC 7888 §4).
            let _ = self.session.bye(Some(&Code::TOOBIG), "the literal is too large").await;
            return Ok(Next::Close);
        }
        let (mut upload, asked) = Upload::new(size, waits);
        let mut pump = Pump {
            reader: &mut self.reader,
            ended: false,
            stuck: limits.unread_output_timeout,
            deadline: (!self.session.is_authenticated()).then(|| self.since + limits.login_timeout),
        };
        let mut is_lost = false;
        let next = {
            let run = self.session.command(head, Some(&mut upload));
            tokio::pin!(run);
            let pumping = pump.run(framer, asked);
            tokio::pin!(pumping);
            tokio::select! {
                biased;
                next = &mut run => next,
                // The client is gone, or sends what can't be delimited; the command still ends in order.
                _ = &mut pumping => {
                    is_lost = true;
                    run.await
                }
            }
        };
        if is_lost {
            // What comes next, if anything does, may be octets of a literal.
            return Ok(Next::Close);
        }
        if upload.is_held() {
            framer.refuse_literal();
        } else if !pump.ended && matches!(next, Next::Go) {
            self.session.out().flush().await.map_err(|_| End::Gone)?;
            pump.drain(framer).await.map_err(|_| End::Gone)?;
        }
        Ok(next)
    }

    async fn upgrade(&mut self, framer: &mut Framer, upgrade: Upgrade) -> io::Result<()> {
        self.session.out().flush().await?;
        let Some(writer) = self.session.out().take_writer() else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let reader = std::mem::replace(&mut self.reader, Box::new(tokio::io::empty()));
        let (reader, writer) = match upgrade {
            Upgrade::Tls => {
                // What came before the handshake was not encrypted, whoever sent it (RFC 9051 §6.2.1).
                if framer.discard() {
                    tracing::warn!(
                        connection = self.session.connection().id,
                        "octets that came before the TLS handshake were thrown away"
                    );
                }
                let config = self.tls.clone().ok_or(io::ErrorKind::Unsupported)?;
                let secured =
                    tls::accept(config, reader, writer, self.session.limits().tls_handshake_timeout).await;
                if let Err(error) = &secured {
                    tracing::info!(connection = self.session.connection().id, %error, "TLS handshake failed");
                }
                self.session.secured();
                secured?
            }
            Upgrade::Wrap(wrap) => wrap.wrap(reader, writer),
        };
        self.reader = reader;
        self.session.out().set_writer(writer);
        Ok(())
    }
}

/// Reads a literal for the command that takes it.
struct Pump<'a> {
    reader: &'a mut Reader,
    /// Whether the end of the command has been read.
    ended: bool,
    /// How long the client may send nothing.
    stuck: Duration,
    /// When the client must have logged in.
    deadline: Option<Instant>,
}

impl Pump<'_> {
    /// Answers what the command asks, until it asks no more.
    async fn run(&mut self, framer: &mut Framer, mut asked: mpsc::Receiver<Request>) -> io::Result<()> {
        loop {
            match asked.recv().await {
                Some(Request::Literal(sender)) => {
                    while let Some(octets) = framer.take_literal() {
                        if octets.is_empty() {
                            self.read(framer).await?;
                        } else if sender.send(octets).await.is_err() {
                            break;
                        }
                    }
                }
                Some(Request::Text(sender)) => {
                    let text = self.text(framer).await?;
                    let _ = sender.send(text);
                }
                None => std::future::pending().await,
            }
        }
    }

    async fn text(&mut self, framer: &mut Framer) -> io::Result<Text> {
        loop {
            match framer.next(|_| true) {
                Frame::NeedMore => self.read(framer).await?,
                Frame::Command(text) => {
                    self.ended = true;
                    return Ok(Text::End(text));
                }
                Frame::Streamed { head, size, waits } => {
                    return Ok(Text::Literal { text: head, size, waits });
                }
                Frame::Refused(_) | Frame::Continue | Frame::Overrun(_) => {
                    return Err(io::ErrorKind::InvalidData.into());
                }
            }
        }
    }

    /// Reads off what is left of a command that has been answered already.
    async fn drain(&mut self, framer: &mut Framer) -> io::Result<()> {
        while !self.ended {
            while let Some(octets) = framer.take_literal() {
                if octets.is_empty() {
                    self.read(framer).await?;
                }
            }
            if let Text::Literal { waits: true, .. } = self.text(framer).await? {
                framer.refuse_literal();
                return Ok(());
            }
        }
        Ok(())
    }

    async fn read(&mut self, framer: &mut Framer) -> io::Result<()> {
        framer.input().reserve(READ);
        let stuck = Instant::now() + self.stuck;
        let deadline = self.deadline.map_or(stuck, |deadline| deadline.min(stuck));
        let read = tokio::time::timeout_at(deadline, self.reader.read_buf(framer.input()));
        match read.await.map_err(|_| io::ErrorKind::TimedOut)?? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}
