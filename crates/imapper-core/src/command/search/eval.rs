//! Runs the keys of a SEARCH over a view, the cheap ones first: the storage is asked only for messages on which
//! they leave it open, and a body is read only when nothing less decides.

use std::borrow::Cow;
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::program::Program;
use super::text::{Pieces, Window};
use crate::command::parsed::digest_of;
use crate::command::turn::Turn;
use crate::message::Digest;
use crate::registry::slots::{Cost, Fetching, SearchTest, SearchText};
use crate::registry::{Context, Shared};
use crate::session::table::{Entry, Table};
use crate::session::{Login, Reject, Selected};
use crate::storage::{MailboxId, Row, RowStream, StorageError, Want};
use crate::types::{Code, Seq, UidSet};

/// How long a search goes on for a client that sends no more, but may still read.
const LEAVING: Duration = Duration::from_secs(1);
/// So many tests take less than that, and the clock is not looked at between.
const TESTS: usize = 64 * 1024;

impl Program {
    /// The messages of the view that the program is true of. A message that is gone, and that the client has
    /// not been told of as such, is found by what the table knows of it.
    ///
    /// NO with LIMIT when it takes more of the processor's time than a SEARCH may.
    pub async fn run(&self, cx: &Context<'_>, selected: &Selected) -> Result<UidSet, Reject> {
        let search = self.run_on(cx.shared, selected);
        tokio::select! {
            found = search => found,
            () = gone(cx.leaving) => Err(Reject::Gone(io::ErrorKind::BrokenPipe.into())),
        }
    }

    /// Lets the keys look up what they need; to be called before [`Program::run`].
    pub async fn prepare(
        &mut self,
        cx: &Context<'_>,
        login: &Login,
        selected: &Selected,
    ) -> Result<(), Reject> {
        let prepare = async {
            let mut turn = Turn::new();
            for test in self.tests_mut() {
                test.prepare(cx, login, selected).await?;
                turn.pause().await;
            }
            Ok(())
        };
        tokio::select! {
            done = within(cx.shared.limits.search_time, prepare) => done,
            () = gone(cx.leaving) => Err(Reject::Gone(io::ErrorKind::BrokenPipe.into())),
        }
    }

    pub(super) async fn run_on(&self, shared: &Shared, selected: &Selected) -> Result<UidSet, Reject> {
        let search = Search { shared, selected, program: self, now: selected.view.hub().table() };
        within(shared.limits.search_time, search.run()).await
    }
}

/// The client has hung up, or sends no more, and has had its time to read an answer.
async fn gone(leaving: &CancellationToken) {
    leaving.cancelled().await;
    tokio::time::sleep(LEAVING).await;
}

/// Lets work go on for so long, counting only the time in which it runs.
async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, Reject>>) -> Result<T, Reject> {
    let mut work = pin!(work);
    let mut spent = Duration::ZERO;
    poll_fn(|cx| {
        let start = Instant::now();
        let polled = work.as_mut().poll(cx);
        spent += start.elapsed();
        if polled.is_pending() && spent > limit {
            return Poll::Ready(Err(Reject::code(Code::LIMIT, "the search takes too long")));
        }
        polled
    })
    .await
}

/// Which mailboxes hold an email.
type Places = HashMap<u64, Vec<MailboxId>>;

struct Search<'a> {
    shared: &'a Shared,
    selected: &'a Selected,
    program: &'a Program,
    now: Table,
}

/// What is known so far.
#[derive(Default)]
struct State {
    found: UidSet,
    // Those that hang on more costly keys.
    open: UidSet,
    scratch: Scratch,
}

/// Memory that is used again for each message.
#[derive(Default)]
struct Scratch {
    reached: Vec<bool>,
    // What each test has said of the message.
    known: Vec<Option<bool>>,
    // In which of the message's texts each test has looked last.
    looked: Vec<usize>,
    // Which text it is.
    text: usize,
}

impl Search<'_> {
    async fn run(&self) -> Result<UidSet, Reject> {
        let mut state = State::default();
        let mut turn = Turn::new();
        let told = self.selected.view.told();
        let step = u32::try_from((TESTS / self.program.len().max(1)).clamp(1, TESTS)).unwrap_or(1);
        let mut first = Seq::MIN;
        while first.get() <= told.len() {
            let last = Seq::new(first.get().saturating_add(step - 1)).unwrap_or(Seq::MAX);
            self.by_table(first, last, &mut state);
            first = last.next();
            turn.pause().await;
        }
        if !state.open.is_empty() && self.program.has(Cost::Row) {
            self.by_rows(&mut state, &mut turn).await?;
        }
        if !state.open.is_empty() && self.program.cost() >= Cost::Digest {
            self.by_text(&mut state, &mut turn).await?;
        }
        Ok(state.found)
    }

    /// Looks at the table alone, with the flags as they are now, even if the client was not told yet.
    fn by_table(&self, first: Seq, last: Seq, state: &mut State) {
        let view = &self.selected.view;
        let told = view.told();
        let mut changed = (!told.is_same(&self.now)).then(|| {
            let from = told.get(first).and_then(|entry| self.now.seq_at_or_after(entry.uid));
            from.into_iter().flat_map(|from| self.now.iter_seqs(from, Seq::MAX)).peekable()
        });
        let is_all = self.program.cost() == Cost::Table;
        for (seq, entry) in told.iter_seqs(first, last) {
            let entry = changed.as_mut().map_or(entry, |now| {
                while now.next_if(|(_, newer)| newer.uid < entry.uid).is_some() {}
                now.peek().map_or(entry, |(_, newer)| newer_of(entry, newer))
            });
            let message =
                Fetching::new(seq, entry.uid, &entry.flags, view.is_recent(entry.uid), entry.modseq);
            let test = |key: &dyn SearchTest| key.test(&message, SearchText::Nothing);
            let found = if is_all {
                Some(self.program.holds(|_, key| test(key)))
            } else {
                let reached = &mut state.scratch.reached;
                self.program.decide(reached, |_, key, cost| (cost == Cost::Table).then(|| test(key)))
            };
            match found {
                Some(true) => state.found.insert(entry.uid),
                Some(false) => {}
                None => state.open.insert(entry.uid),
            }
        }
    }

    async fn by_rows(&self, state: &mut State, turn: &mut Turn) -> Result<(), Reject> {
        let open = std::mem::take(&mut state.open);
        let Some(mut rows) = self.rows(&open, Want::FLAGS).await? else { return Ok(()) };
        while let Some(chunk) = rows.try_next().await? {
            let places = self.places(&chunk).await?;
            for row in &chunk {
                let Some(message) = self.message(row, &places).filter(|_| open.contains(row.uid)) else {
                    continue;
                };
                let reached = &mut state.scratch.reached;
                let found = self.program.decide(reached, |_, key, cost| {
                    (cost <= Cost::Row).then(|| key.test(&message, SearchText::Nothing))
                });
                match found {
                    Some(true) => state.found.insert(row.uid),
                    Some(false) => {}
                    None => state.open.insert(row.uid),
                }
                turn.pause().await;
            }
        }
        Ok(())
    }

    async fn by_text(&self, state: &mut State, turn: &mut Turn) -> Result<(), Reject> {
        let open = std::mem::take(&mut state.open);
        let want = Want { digest: true, body: self.program.cost() >= Cost::Header };
        let Some(mut rows) = self.rows(&open, want).await? else { return Ok(()) };
        while let Some(chunk) = rows.try_next().await? {
            let places = self.places(&chunk).await?;
            for row in &chunk {
                let Some(message) = self.message(row, &places).filter(|_| open.contains(row.uid)) else {
                    continue;
                };
                match self.matches(row, message, &mut state.scratch, turn).await {
                    Ok(true) => state.found.insert(row.uid),
                    Ok(false) | Err(Reject::Storage(StorageError::Gone | StorageError::NoMailbox)) => {}
                    // One damaged message must not make the others impossible to find.
                    Err(Reject::Storage(StorageError::Corrupt(error))) => {
                        let mbox = &self.selected.mbox;
                        tracing::error!(
                            account = %mbox.account, mailbox = %mbox.id, uid = %row.uid, error,
                            "a message can't be searched"
                        );
                    }
                    Err(error) => return Err(error),
                }
                turn.pause().await;
            }
        }
        Ok(())
    }

    /// The rows of those that still exist; none if the mailbox itself does not.
    async fn rows(&self, uids: &UidSet, want: Want) -> Result<Option<RowStream>, Reject> {
        match self.shared.storage.rows(&self.selected.mbox, uids, want).await {
            Err(StorageError::NoMailbox) => Ok(None),
            rows => Ok(Some(rows?)),
        }
    }

    /// Which mailboxes hold the messages, if a key wants to know: one look-up for all keys and rows.
    async fn places(&self, rows: &[Row]) -> Result<Places, Reject> {
        let mut places = Places::new();
        if !self.program.tests().any(SearchTest::wants_places) {
            return Ok(places);
        }
        let emails: Vec<u64> = rows.iter().filter_map(|row| row.email_id).collect();
        let objects = self.shared.storage.as_objects().ok_or(StorageError::Unsupported)?;
        for (email, mailbox, _) in objects.places(&self.selected.mbox.account, &emails).await? {
            places.entry(email).or_default().push(mailbox);
        }
        Ok(places)
    }

    fn message<'r>(&self, row: &'r Row, places: &'r Places) -> Option<Fetching<'r>> {
        let view = &self.selected.view;
        let seq = view.seq_of(row.uid)?;
        let mut message = Fetching::new(seq, row.uid, &row.flags, view.is_recent(row.uid), row.modseq);
        message.row = Some(row);
        message.places = row.email_id.and_then(|email| places.get(&email)).map_or(&[], Vec::as_slice);
        Some(message)
    }

    /// Looks into a message, no further than it must.
    async fn matches(
        &self,
        row: &Row,
        message: Fetching<'_>,
        scratch: &mut Scratch,
        turn: &mut Turn,
    ) -> Result<bool, Reject> {
        let program = self.program;
        scratch.begin(program.len());
        let digest = digest_of(self.shared, &self.selected.mbox, row).await?;
        let message = &Fetching { digest: Some(&digest), ..message };
        if let Some(found) = scratch.decide(program, message, SearchText::Nothing, turn).await {
            return Ok(found);
        }
        if program.has(Cost::Header) {
            let header = self.header(row, &digest).await?;
            if let Some(found) = scratch.decide(program, message, SearchText::Header(&header), turn).await {
                return Ok(found);
            }
        }
        if program.cost() >= Cost::Body {
            let window = self.window(row)?;
            let overlap = program.tests().map(SearchTest::overlap).max().unwrap_or(0);
            let mut pieces =
                Pieces::new(window, &digest, program.has(Cost::Text), self.longest_header(), overlap);
            while let Some(text) = pieces.next().await? {
                if let Some(found) = scratch.decide(program, message, text, turn).await {
                    return Ok(found);
                }
                turn.pause().await;
            }
        }
        // What was not found anywhere is not there.
        let Scratch { reached, known, .. } = scratch;
        Ok(program.decide(reached, |at, _, _| Some(known.get(at).copied().flatten().unwrap_or(false)))
            == Some(true))
    }

    /// The header: the one that is kept, or else read, but not without bound.
    async fn header<'d>(&self, row: &Row, digest: &'d Digest) -> Result<Cow<'d, [u8]>, Reject> {
        if let Some(header) = digest.header_bytes() {
            return Ok(header.into());
        }
        let end = digest.header().end.min(self.longest_header());
        Ok(self.window(row)?.read(0..end).await?.to_vec().into())
    }

    fn longest_header(&self) -> u64 {
        self.shared.limits.message.header as u64
    }

    fn window<'r>(&'r self, row: &'r Row) -> Result<Window<'r>, StorageError> {
        let body = row.body.as_ref();
        let body = body.ok_or_else(|| StorageError::Corrupt("a row came without its body".to_owned()))?;
        Ok(Window::new(&*self.shared.storage, body, row.size))
    }
}

impl Scratch {
    /// Another message: nothing is known of it.
    fn begin(&mut self, tests: usize) {
        self.known.clear();
        self.known.resize(tests, None);
        self.looked.clear();
        self.looked.resize(tests, 0);
        self.text = 0;
    }

    /// Makes the tests that can be made with this text, and that matter. A command can bring thousands, so
    /// that others have their turn between two of them.
    async fn decide(
        &mut self,
        program: &Program,
        message: &Fetching<'_>,
        text: SearchText<'_>,
        turn: &mut Turn,
    ) -> Option<bool> {
        self.text += 1;
        loop {
            let (found, is_unfinished) = self.decide_in_turn(program, message, text, turn);
            if found.is_some() || !is_unfinished {
                return found;
            }
            turn.pause().await;
        }
    }

    /// The same, as far as it goes before the turn is over; and whether there is more to be done.
    fn decide_in_turn(
        &mut self,
        program: &Program,
        message: &Fetching<'_>,
        text: SearchText<'_>,
        turn: &Turn,
    ) -> (Option<bool>, bool) {
        let (mut is_unfinished, mut has_worked) = (false, false);
        let Self { reached, known, looked, text: number } = self;
        let found = program.decide(reached, |at, key, cost| {
            let (known, looked) = (known.get_mut(at)?, looked.get_mut(at)?);
            if known.is_none() && looked != number {
                if cost > Cost::Digest {
                    // At least one at a time, or a program that is long enough would never come to its end.
                    if has_worked && turn.is_over() {
                        is_unfinished = true;
                        return None;
                    }
                    has_worked = true;
                }
                *looked = *number;
                *known = match (cost, text) {
                    (Cost::Table | Cost::Row | Cost::Digest, _) => {
                        Some(key.test(message, SearchText::Nothing))
                    }
                    (Cost::Header, SearchText::Header(_)) => Some(key.test(message, text)),
                    (Cost::Body | Cost::Text, SearchText::Body(_)) | (Cost::Text, SearchText::Fields(_)) => {
                        key.test(message, text).then_some(true)
                    }
                    _ => None,
                };
            }
            *known
        });
        (found, is_unfinished)
    }
}

/// The entry as it is now; what the client was told may be newer than what the hub has read.
fn newer_of<'a>(told: &'a Entry, now: &'a Entry) -> &'a Entry {
    if now.uid == told.uid && now.modseq >= told.modseq { now } else { told }
}
