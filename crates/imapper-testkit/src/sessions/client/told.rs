//! What a client does with each response: checks it, and keeps it in its model.

use super::super::command::{Abilities, Command, Kind, Op};
use super::super::model::{Fetched, Flags, Message, Model};
use super::{Client, Common, Pending};
use crate::response::{Response, Value};

impl Client {
    pub(super) fn take(&mut self, octets: &[u8], common: &mut Common) -> Result<(), String> {
        common.log('S', self.number, octets);
        common.responses += 1;
        let line = octets.strip_suffix(b"\r\n").unwrap_or(octets);
        let response = Response::parse(line).map_err(|why| format!("a malformed response: {why}"))?;
        match response {
            Response::Continue(_) => self.continued = true,
            Response::Status { tag, status, code, .. } if tag == "*" => {
                self.untagged_status(&status, code.as_deref())?;
            }
            Response::Status { tag, status, .. } => self.completed(&tag, &status)?,
            Response::Data(words) => self.data(&words, common)?,
        }
        self.check_common(common)
    }

    fn untagged_status(&mut self, status: &str, code: Option<&[Value]>) -> Result<(), String> {
        if status == "BYE" {
            return Err("the server has ended the session".into());
        }
        if !std::mem::replace(&mut self.greeted, true) || status == "BAD" {
            return if status == "OK" { Ok(()) } else { Err(format!("untagged {status}")) };
        }
        let (Some(opening), Some(code)) = (&mut self.opening, code) else { return Ok(()) };
        let word = code.first().and_then(Value::atom).unwrap_or_default().to_ascii_uppercase();
        let number = code.get(1).and_then(Value::atom).and_then(|number| number.parse().ok());
        match word.as_str() {
            "UIDNEXT" => opening.uid_next = number,
            "UIDVALIDITY" => opening.uid_validity = number,
            _ => {}
        }
        Ok(())
    }

    /// The first command that waits begins to run.
    pub(super) fn begin(&mut self, was_busy: bool) {
        if !was_busy {
            self.begin_next();
        }
    }

    fn begin_next(&mut self) {
        let Some(pending) = self.pending.front() else { return };
        self.serial += 1;
        match &pending.command.kind {
            Kind::Select { mailbox, read_only } => {
                self.opening = Some(Model::opened(mailbox, *read_only));
                self.openings += 1;
                self.close();
            }
            Kind::Store { set, .. } | Kind::Fetch { set } => {
                let Some(model) = &mut self.model else { return };
                let count = u32::try_from(model.messages.len()).unwrap_or(u32::MAX);
                let last = model.messages.last().map_or(Some(0), |message| message.uid);
                let is_open = set.has_star() && last.is_none();
                for (message, number) in model.messages.iter_mut().zip(1..) {
                    let named = match message.uid {
                        _ if !set.uid => Some(set.contains(number, count)),
                        Some(uid) if !is_open => Some(set.contains(uid, last.unwrap_or_default())),
                        _ => None,
                    };
                    match named {
                        Some(true) => message.named = self.serial,
                        Some(false) => {}
                        None => message.perhaps = self.serial,
                    }
                }
            }
            _ => {}
        }
    }

    /// What is known of a mailbox beyond its closing: which UIDs are gone for ever.
    fn close(&mut self) {
        if let Some(model) = self.model.take() {
            self.kept.insert(model.name.clone(), model);
        }
    }

    fn completed(&mut self, tag: &str, status: &str) -> Result<(), String> {
        let Some(Pending { tag: expected, command }) = self.pending.pop_front() else {
            return Err(format!("{tag} is answered and was not asked"));
        };
        if tag != expected {
            return Err(format!("{tag} is answered where {expected} should be"));
        }
        let is_ok = status == "OK";
        let read_only = self.model.as_ref().is_some_and(|model| model.read_only);
        let is_refused = status == "NO" && (!command.must_succeed || read_only);
        if !is_ok && !is_refused {
            return Err(format!("{status} for {}", command.text));
        }
        match command.kind {
            Kind::Select { .. } => self.opened()?,
            Kind::Close => self.close(),
            Kind::Store { op, flags, silent, .. } => self.stored(op, &flags, silent, is_ok, read_only),
            Kind::Fetch { .. } if is_ok => self.all_answered()?,
            _ => {}
        }
        if let Some(model) = &self.model {
            model.check_recent()?;
        }
        self.begin_next();
        Ok(())
    }

    fn opened(&mut self) -> Result<(), String> {
        let mut opened = self.opening.take().ok_or("nothing was to be opened")?;
        if !opened.exists_told || opened.recent.is_none() || opened.uid_validity.is_none() {
            return Err("EXISTS, RECENT or UIDVALIDITY was not told (RFC 3501 §6.3.1)".into());
        }
        if let Some(before) = self.kept.remove(&opened.name) {
            if before.uid_validity != opened.uid_validity {
                return Err("UIDVALIDITY is another".into());
            }
            if before.uid_next > opened.uid_next {
                return Err("UIDNEXT has gone back".into());
            }
            opened.gone = before.gone;
        }
        self.model = Some(opened);
        Ok(())
    }

    /// A STORE was answered. The client reckons with its own silent change, unless it was told otherwise since
    /// (RFC 3501 §6.4.6); what a refused one has done, it does not know.
    fn stored(&mut self, op: Op, flags: &Flags, silent: bool, is_ok: bool, read_only: bool) {
        let Some(model) = &mut self.model else { return };
        for message in model.messages.iter_mut().filter(|message| message.told != self.serial) {
            if !is_ok {
                if !read_only && (message.named == self.serial || message.perhaps == self.serial) {
                    message.flags = None;
                }
            } else if silent && message.perhaps == self.serial {
                message.flags = None;
            } else if silent && message.named == self.serial {
                apply(message, op, flags);
            }
        }
    }

    fn all_answered(&self) -> Result<(), String> {
        let Some(model) = &self.model else { return Ok(()) };
        let silent = |message: &Message| message.named == self.serial && message.answered != self.serial;
        match model.messages.iter().position(silent) {
            Some(index) => Err(format!("FETCH says OK, but nothing of number {}", index + 1)),
            None => Ok(()),
        }
    }

    fn data(&mut self, words: &[Value], common: &mut Common) -> Result<(), String> {
        let first = words.first().and_then(Value::atom).unwrap_or_default();
        if let Ok(number) = first.parse::<usize>() {
            let word = words.get(1).and_then(Value::atom).unwrap_or_default().to_ascii_uppercase();
            return self.numbered(number, &word, words.get(2), common);
        }
        match first.to_ascii_uppercase().as_str() {
            "CAPABILITY" => {
                let has = |word: &str| words.iter().any(|one| one.atom() == Some(word));
                self.can = Abilities {
                    idle: has("IDLE"),
                    literal_plus: has("LITERAL+"),
                    uid_plus: has("UIDPLUS"),
                    moves: has("MOVE"),
                };
                Ok(())
            }
            "SEARCH" => self.found(words.get(1..).unwrap_or_default()),
            _ => {
                if self.removals.is_removal(words) {
                    self.check_removal_allowed()?;
                }
                let Some(model) = &mut self.model else { return Ok(()) };
                self.removals.told(words, model).map(|_| ())
            }
        }
    }

    /// RFC 3501 §7.4.1: not when no command is in progress, nor during FETCH, STORE and SEARCH.
    fn check_removal_allowed(&self) -> Result<(), String> {
        match self.pending.front() {
            None => Err("a removal is told while no command is in progress".into()),
            Some(pending) if pending.command.holds_removals => {
                Err(format!("a removal is told during {}", pending.command.text))
            }
            Some(_) => Ok(()),
        }
    }

    fn numbered(
        &mut self,
        number: usize,
        word: &str,
        items: Option<&Value>,
        common: &mut Common,
    ) -> Result<(), String> {
        if word == "EXPUNGE" {
            if !self.removals.ask().is_empty() {
                return Err("a removal is told by number to who has asked for another way".into());
            }
            self.check_removal_allowed()?;
        }
        let serial = self.serial;
        let model = self.opening.as_mut().or(self.model.as_mut());
        let model = model.ok_or_else(|| format!("{word} without an open mailbox"))?;
        match word {
            "EXISTS" => model.exists(number),
            "RECENT" => model.recent(number),
            "EXPUNGE" => model.remove(number),
            "FETCH" => {
                let Some(Value::List { items, .. }) = items else { return Err("FETCH without items".into()) };
                let fetched = Fetched::parse(items)?;
                model.fetch(number, &fetched, serial)?;
                let uid = model.at(number)?.uid;
                if let (Some(uid), Some(body), "INBOX") = (uid, fetched.body, model.name.as_str()) {
                    let known = common.bodies.entry(uid).or_insert_with(|| body.clone());
                    if *known != body {
                        return Err(format!("UID {uid} has another body than before"));
                    }
                }
                Ok(())
            }
            _ => Err(format!("nobody knows what {word} is")),
        }
    }

    /// What SEARCH has found is there.
    fn found(&mut self, found: &[Value]) -> Result<(), String> {
        let Some(Pending { command: Command { kind: Kind::Search { uid }, .. }, .. }) = self.pending.front()
        else {
            return Err("SEARCH was not asked for".into());
        };
        let Some(model) = &self.model else { return Err("SEARCH without an open mailbox".into()) };
        let known: Option<Vec<u32>> = model.messages.iter().map(|message| message.uid).collect();
        for word in found {
            let number: u32 = word.atom().and_then(|word| word.parse().ok()).ok_or("a number expected")?;
            let there = if *uid {
                !model.gone.contains(&number) && known.as_ref().is_none_or(|known| known.contains(&number))
            } else {
                number > 0 && number as usize <= model.messages.len()
            };
            if !there {
                return Err(format!("SEARCH finds {number}, which the client does not know"));
            }
        }
        if found.len() > model.messages.len() {
            return Err("SEARCH finds more messages than the client knows of".into());
        }
        Ok(())
    }

    /// No message is `\Recent` in two sessions that opened the mailbox for writing (RFC 3501 §2.3.2).
    fn check_common(&self, common: &mut Common) -> Result<(), String> {
        let Some(model) = self.model.as_ref().filter(|model| !model.read_only && model.name == "INBOX")
        else {
            return Ok(());
        };
        let mine = (self.number, self.openings);
        for message in model.messages.iter().filter(|message| message.recent == Some(true)) {
            let Some(uid) = message.uid else { continue };
            let (session, opening) = *common.recent.entry(uid).or_insert(mine);
            if (session, opening) != mine {
                return Err(format!("UID {uid} is \\Recent here, and was in session {session}"));
            }
        }
        Ok(())
    }
}

fn apply(message: &mut Message, op: Op, change: &Flags) {
    let Some(flags) = &mut message.flags else { return };
    match op {
        Op::Replace => flags.clone_from(change),
        Op::Add => flags.extend(change.iter().cloned()),
        Op::Remove => flags.retain(|flag| !change.contains(flag)),
    }
}
