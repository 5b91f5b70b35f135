//! One client: sends commands, and checks each response against its model.

mod told;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::Removals;
use super::command::{Abilities, Command, Kind};
use super::model::Model;
use crate::server::Stream;
use crate::session::response_end;

/// How long a response may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Lines of the transcript that are kept.
const TAIL: usize = 120;
/// How often a client that only listens lets the others run.
const TURNS: usize = 20;

/// What all clients share: whatever must agree between them.
#[derive(Default)]
pub(super) struct Common {
    /// The session, and its opening of the mailbox, in which a message was `\Recent`.
    recent: BTreeMap<u32, (usize, u64)>,
    bodies: BTreeMap<u32, Vec<u8>>,
    transcript: VecDeque<String>,
    pub(super) responses: u64,
}

impl Common {
    fn log(&mut self, who: char, session: usize, octets: &[u8]) {
        let mut text = String::from_utf8_lossy(octets).trim_end().replace("\r\n", "\\n");
        if let Some((end, _)) = text.char_indices().nth(160) {
            text.truncate(end);
        }
        self.transcript.push_back(format!("{who}{session}: {text}"));
        if self.transcript.len() > TAIL {
            self.transcript.pop_front();
        }
    }

    pub(super) fn tail(&self) -> String {
        self.transcript.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

/// A command that has been sent and not been answered.
struct Pending {
    tag: String,
    command: Command,
}

/// A client with its connection.
pub(super) struct Client {
    number: usize,
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
    removals: Arc<dyn Removals>,
    pub(super) can: Abilities,
    pub(super) model: Option<Model>,
    /// The mailbox that a SELECT under way opens.
    opening: Option<Model>,
    /// Of each mailbox by name, what must hold for ever.
    kept: BTreeMap<String, Model>,
    pending: VecDeque<Pending>,
    pub(super) is_idle: bool,
    continued: bool,
    tags: u64,
    /// The command that runs, counted.
    serial: u64,
    openings: u64,
    greeted: bool,
}

impl Client {
    pub(super) fn new(number: usize, stream: Box<dyn Stream>, removals: Arc<dyn Removals>) -> Self {
        Self {
            number,
            stream,
            buffer: Vec::new(),
            removals,
            can: Abilities::default(),
            model: None,
            opening: None,
            kept: BTreeMap::new(),
            pending: VecDeque::new(),
            is_idle: false,
            continued: false,
            tags: 0,
            serial: 0,
            openings: 0,
            greeted: false,
        }
    }

    pub(super) fn is_busy(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Sends a command and waits for its end.
    pub(super) async fn ask(&mut self, command: Command, common: &mut Common) -> Result<(), String> {
        self.send(vec![command], common).await?;
        self.finish(common).await
    }

    /// Sends commands at once. Only the last may want to be continued, unless the server takes literals
    /// without being asked.
    pub(super) async fn send(&mut self, commands: Vec<Command>, common: &mut Common) -> Result<(), String> {
        let mut octets = Vec::new();
        let was_busy = self.is_busy();
        for command in commands {
            self.tags += 1;
            let tag = format!("{}.{}", self.number, self.tags);
            octets.extend(format!("{tag} {}", command.text).into_bytes());
            let literal = command.literal.clone();
            let idles = matches!(command.kind, Kind::Idle);
            self.pending.push_back(Pending { tag, command });
            if let Some(literal) = literal {
                let plus = if self.can.literal_plus { "+" } else { "" };
                octets.extend(format!("{{{}{plus}}}\r\n", literal.len()).into_bytes());
                if !self.can.literal_plus {
                    self.write(&std::mem::take(&mut octets), common).await?;
                    self.begin(was_busy);
                    self.wait_for_more(common).await?;
                }
                octets.extend(literal.into_bytes());
            }
            octets.extend(b"\r\n");
            if idles {
                self.write(&std::mem::take(&mut octets), common).await?;
                self.begin(was_busy);
                self.wait_for_more(common).await?;
                self.is_idle = true;
                return Ok(());
            }
        }
        self.write(&octets, common).await?;
        self.begin(was_busy);
        Ok(())
    }

    /// Waits until all commands are answered. Ends IDLE.
    pub(super) async fn finish(&mut self, common: &mut Common) -> Result<(), String> {
        if std::mem::take(&mut self.is_idle) {
            self.write(b"DONE\r\n", common).await?;
        }
        while self.is_busy() {
            self.next(common).await?;
        }
        Ok(())
    }

    /// Takes what comes by itself.
    pub(super) async fn listen(&mut self, common: &mut Common) -> Result<(), String> {
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
            while let Some(response) = self.buffered()? {
                self.take(&response, common)?;
            }
            let read = async {
                tokio::select! {
                    biased;
                    read = self.stream.read_buf(&mut self.buffer) => Some(read),
                    () = std::future::ready(()) => None,
                }
            };
            if let Some(read) = read.await {
                opened(read)?;
            }
        }
        Ok(())
    }

    async fn write(&mut self, octets: &[u8], common: &mut Common) -> Result<(), String> {
        common.log('C', self.number, octets);
        let written = timeout(PATIENCE, self.stream.write_all(octets)).await;
        written.map_err(|_| "the server does not read".to_owned())?.map_err(|error| error.to_string())?;
        timeout(PATIENCE, self.stream.flush())
            .await
            .map_err(|_| "the server does not read".to_owned())?
            .map_err(|error| error.to_string())
    }

    async fn wait_for_more(&mut self, common: &mut Common) -> Result<(), String> {
        self.continued = false;
        while !self.continued {
            let before = self.pending.len();
            self.next(common).await?;
            if self.pending.len() < before && !self.is_busy() && !self.continued {
                return Err("a command was answered before it was continued".into());
            }
        }
        Ok(())
    }

    /// Takes a response.
    pub(super) async fn next(&mut self, common: &mut Common) -> Result<(), String> {
        loop {
            if let Some(response) = self.buffered()? {
                return self.take(&response, common);
            }
            let read = timeout(PATIENCE, self.stream.read_buf(&mut self.buffer)).await;
            opened(read.map_err(|_| "no answer came".to_owned())?)?;
        }
    }

    fn buffered(&mut self) -> Result<Option<Vec<u8>>, String> {
        Ok(response_end(&self.buffer)?.map(|end| self.buffer.drain(..end).collect()))
    }
}

fn opened(read: std::io::Result<usize>) -> Result<(), String> {
    match read {
        Ok(1..) => Ok(()),
        Ok(0) => Err("the server has closed the connection".into()),
        Err(error) => Err(error.to_string()),
    }
}
