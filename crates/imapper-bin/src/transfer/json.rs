//! The JSON fixture. It is read into a memory storage, and mail is taken from there. It is written as it comes,
//! message by message, so that it may be larger than memory.
//!
//! What the format has no words for is left out: subscriptions to names that do not exist, mod-sequences of single
//! messages. A line feed by itself comes back as CRLF.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use imapper_core::storage::AccountId;
use imapper_core::types::Flags;
use serde_json::json;

use super::{Folder, INBOX, Message, StorageSource, Tally, Target, at};
use crate::builtin::fixture;
use crate::error::Failure;
use crate::files::Beside;

/// What a user sees in a fixture.
pub(crate) fn read_json(path: &Path, user: &str) -> Result<StorageSource, Failure> {
    Ok(StorageSource::new(fixture(path)?, AccountId::from(user)))
}

/// A fixture that is being written. It gets its name when it is whole.
pub(crate) struct JsonTarget {
    path: PathBuf,
    file: Option<Beside>,
    /// Names that are subscribed to; a fixture says of each mailbox whether it is.
    subscriptions: Vec<String>,
    /// The folders that are open, from the top: each with whether something lies in it.
    levels: Vec<(String, bool)>,
    /// Whether the namespace of all but INBOX is open.
    in_namespace: bool,
    is_first: bool,
}

impl JsonTarget {
    pub(crate) fn new(path: &Path, subscriptions: Vec<String>, dry: bool) -> Result<Self, Failure> {
        if path.exists() {
            return Err(Failure::configuration(format!(
                "{} is there already: nothing is overwritten",
                path.display()
            )));
        }
        let file = if dry { None } else { Some(Beside::new(path).map_err(|error| at(path, error))?) };
        let mut target = Self {
            path: path.to_owned(),
            file,
            subscriptions,
            levels: Vec::new(),
            in_namespace: false,
            is_first: true,
        };
        target.write("{").map_err(|error| at(path, error))?;
        Ok(target)
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), |file| file.write(text.as_bytes()))
    }

    /// Opens the folders down to a mailbox, after closing those that it does not lie in. Mailboxes come in the order
    /// of their levels, INBOX and those below it first.
    fn go_to(&mut self, name: &str) -> io::Result<()> {
        let levels: Vec<&str> = name.split('/').collect();
        let is_below_inbox = levels.first() == Some(&INBOX);
        let common = self.levels.iter().zip(&levels).take_while(|((open, _), level)| open == *level).count();
        self.close_to(common)?;
        let mut text = String::new();
        if !is_below_inbox && !self.in_namespace {
            self.in_namespace = true;
            let comma = if std::mem::replace(&mut self.is_first, true) { "" } else { "," };
            let _ = write!(
                text,
                "{comma}\n\"\": {{\"type\": \"personal\", \"separator\": \"/\", \"folders\": {{"
            );
        }
        for (depth, level) in levels.iter().enumerate().skip(common) {
            let comma = match depth.checked_sub(1).and_then(|above| self.levels.get_mut(above)) {
                Some((_, has_folders)) => {
                    if std::mem::replace(has_folders, true) {
                        ","
                    } else {
                        ", \"folders\": {"
                    }
                }
                None if std::mem::take(&mut self.is_first) => "",
                None => ",",
            };
            let _ = write!(text, "{comma}\n{}: {{", json!(level));
            if depth + 1 < levels.len() {
                // A level that is no mailbox.
                text.push_str("\"flags\": [\"\\\\Noselect\"], \"subscribed\": false");
            }
            self.levels.push(((*level).to_owned(), false));
        }
        self.write(&text)
    }

    fn close_to(&mut self, depth: usize) -> io::Result<()> {
        while self.levels.len() > depth {
            let has_folders = self.levels.pop().is_some_and(|(_, has_folders)| has_folders);
            self.write(if has_folders { "}}" } else { "}" })?;
        }
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        self.close_to(0)?;
        self.write(if self.in_namespace { "}}\n}\n" } else { "\n}\n" })
    }

    fn open_mailbox(&mut self, folder: &Folder) -> io::Result<()> {
        self.go_to(&folder.name)?;
        let mut text = String::new();
        if !self.subscriptions.contains(&folder.name) {
            text.push_str("\"subscribed\": false, ");
        }
        if !folder.special_use.is_empty() {
            let uses: Vec<&str> = folder.special_use.iter().map(AsRef::as_ref).collect();
            let _ = write!(text, "\"special-use\": {}, ", json!(uses));
        }
        if let Some(numbers) = folder.numbers {
            let (validity, next) = (numbers.uid_validity, numbers.uid_next);
            let _ = write!(text, "\"uidvalidity\": {validity}, \"uidnext\": {next}, ");
            if numbers.highest_modseq.0 > 0 {
                let _ = write!(text, "\"highestmodseq\": {}, ", numbers.highest_modseq.0);
            }
        }
        text.push_str("\"messages\": [");
        self.is_first = true;
        self.write(&text)
    }

    fn message(&mut self, message: &Message) -> io::Result<()> {
        // A character for each octet, as the format wants it.
        let raw: String = message.body.iter().copied().map(char::from).collect();
        let flags = |flags: &Flags| flags.names().map(str::to_owned).collect::<Vec<_>>();
        let mut object = json!({
            "raw": raw,
            "internaldate": message.date.to_string(),
            "flags": flags(&message.flags),
        });
        if let (Some(uid), Some(object)) = (message.uid, object.as_object_mut()) {
            object.insert("uid".to_owned(), uid.get().into());
        }
        let comma = if std::mem::take(&mut self.is_first) { "" } else { "," };
        self.write(&format!("{comma}\n{object}"))
    }
}

#[async_trait]
impl Target for JsonTarget {
    async fn open(&mut self, folder: &Folder, _tally: &mut Tally) -> Result<bool, Failure> {
        self.open_mailbox(folder).map_err(|error| at(&self.path, error))?;
        Ok(true)
    }

    async fn put(&mut self, message: Message, tally: &mut Tally) -> Result<(), Failure> {
        self.message(&message).map_err(|error| at(&self.path, error))?;
        tally.carried(message.body.len() as u64);
        Ok(())
    }

    async fn close(&mut self, _tally: &mut Tally) -> Result<(), Failure> {
        self.is_first = false;
        self.write("]").map_err(|error| at(&self.path, error))
    }

    async fn give_up(&mut self, _tally: &mut Tally) -> Result<(), Failure> {
        // A file that is not whole must not get its name.
        self.file = None;
        Ok(())
    }

    async fn finish(&mut self, _subscriptions: Vec<String>, _tally: &mut Tally) -> Result<(), Failure> {
        self.end().map_err(|error| at(&self.path, error))?;
        match self.file.take() {
            Some(file) => file.keep(&self.path).map_err(|error| at(&self.path, error)),
            None => Ok(()),
        }
    }
}
