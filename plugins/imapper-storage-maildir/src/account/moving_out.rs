//! Moving messages to another account: two accounts change, one after the other. What is on its way is written down, so
//! that after a crash the move is done to the end, or was never begun.

use std::sync::Arc;

use imapper_core::storage::{MailboxId, Mbox, Result, StorageError};
use imapper_core::types::{ModSeq, UidSet};

use super::expunge::expunge;
use super::settings::{Moving, Setting};
use super::{Account, Arrival, Change};
use crate::mailbox::{ranges_of, set_of};

impl Account {
    /// Writes down that messages are on their way; gives what names the move.
    pub(crate) async fn begin_move(
        self: &Arc<Self>,
        from: &MailboxId,
        uids: &UidSet,
        to: &Mbox,
        arrivals: &[Arrival],
    ) -> Result<String> {
        let first = arrivals.first().map(Arrival::base).ok_or(StorageError::Gone)?;
        let moving = Moving {
            from: from.to_string(),
            uids: ranges_of(uids),
            to_account: to.account.to_string(),
            to: to.id.to_string(),
            first: first.clone(),
        };
        let change = move |_: &mut super::Batch<'_>| {
            Ok((Change { settings: vec![Setting::Moving(moving.clone())], ..Change::default() }, ()))
        };
        self.change(change).await?;
        Ok(first)
    }

    /// Notes that a move was given up: nothing has left.
    pub(crate) async fn give_up_move(self: &Arc<Self>, first: String) -> Result<()> {
        let change = move |_: &mut super::Batch<'_>| {
            let moved = Setting::Moved { first: first.clone() };
            Ok((Change { settings: vec![moved], ..Change::default() }, ()))
        };
        self.change(change).await
    }

    /// Removes what has arrived, in one step with the note that it has.
    pub(crate) async fn end_move(
        self: &Arc<Self>,
        from: &MailboxId,
        uids: &UidSet,
        first: String,
    ) -> Result<ModSeq> {
        let (from, uids) = (from.clone(), uids.clone());
        self.change(move |batch| {
            let (mut change, (_, modseq)) = expunge(batch, &from, &uids, false)?;
            change.settings.push(Setting::Moved { first: first.clone() });
            Ok((change, modseq))
        })
        .await
    }

    /// The moves that a crash has cut off.
    pub(crate) fn moves_begun(&self) -> Vec<Moving> {
        self.read().settings.moving.clone()
    }

    /// Whether a message with that file has arrived here.
    pub(crate) async fn has_arrived(self: &Arc<Self>, mailbox: &str, base: &str) -> Result<bool> {
        let id = MailboxId::from(mailbox);
        match self.fresh(&id).await {
            Err(StorageError::NoMailbox) => return Ok(false),
            opened => opened?,
        }
        let arrived = self.read().mailbox(&id)?.by_base(base).is_some();
        Ok(arrived)
    }

    /// Does a move to the end that a crash has cut off, or forgets it.
    pub(crate) async fn settle_move(self: &Arc<Self>, moving: Moving, arrived: bool) -> Result<()> {
        if !arrived {
            return self.give_up_move(moving.first).await;
        }
        let from = MailboxId::from(moving.from);
        match self.end_move(&from, &set_of(&moving.uids), moving.first.clone()).await {
            // The mailbox has gone since.
            Err(StorageError::NoMailbox) => self.give_up_move(moving.first).await,
            ended => ended.map(drop),
        }
    }
}
