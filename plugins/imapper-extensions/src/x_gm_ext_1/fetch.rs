//! FETCH X-GM-MSGID, X-GM-THRID and X-GM-LABELS.

use async_trait::async_trait;
use imapper_core::Bytes;
use imapper_core::registry::Context;
use imapper_core::registry::slots::{FetchItem, Fetched, Fetching};
use imapper_core::session::{Login, Reject, Selected};
use imapper_core::storage::{Row, Want};
use imapper_core::types::SystemFlag;
use imapper_core::wire::{Args, Line};

use super::label::{Labels, put};
use super::{Places, objects, places};

/// A number of 64 bits without a sign.
#[derive(Clone, Copy)]
pub(super) enum Number {
    Email,
    Thread,
}

impl Number {
    /// Which one a message has.
    pub(super) const fn of(self, row: &Row) -> Option<u64> {
        match self {
            Self::Email => row.email_id,
            Self::Thread => row.thread_id,
        }
    }
}

impl FetchItem for Number {
    fn parse(&self, _args: &mut Args<'_>) -> Result<Box<dyn Fetched>, Reject> {
        Ok(Box::new(*self))
    }
}

impl Fetched for Number {
    fn name(&self) -> &'static str {
        match self {
            Self::Email => "X-GM-MSGID",
            Self::Thread => "X-GM-THRID",
        }
    }

    fn begin(&self, cx: &mut Context<'_>, _selected: &mut Selected) -> Result<(), Reject> {
        objects(cx).map(drop)
    }

    fn wants(&self) -> Option<Want> {
        Some(Want::FLAGS)
    }

    fn render(&self, message: &Fetching<'_>, _read: Option<&Bytes>, line: &mut Line) -> Result<(), Reject> {
        if let Some(number) = message.row.and_then(|row| self.of(row)) {
            line.word(self.name()).sp().number(number);
        }
        Ok(())
    }
}

/// X-GM-LABELS.
pub(super) struct Item;

impl FetchItem for Item {
    fn parse(&self, _args: &mut Args<'_>) -> Result<Box<dyn Fetched>, Reject> {
        Ok(Box::new(Labelled::default()))
    }
}

/// The labels, once for the command, and where each message of a batch lies.
#[derive(Default)]
struct Labelled {
    labels: Option<Labels>,
    places: Places,
}

#[async_trait]
impl Fetched for Labelled {
    fn name(&self) -> &'static str {
        "X-GM-LABELS"
    }

    fn begin(&self, cx: &mut Context<'_>, _selected: &mut Selected) -> Result<(), Reject> {
        objects(cx).map(drop)
    }

    fn wants(&self) -> Option<Want> {
        Some(Want::FLAGS)
    }

    async fn prepare(
        &mut self,
        cx: &mut Context<'_>,
        login: &Login,
        selected: &Selected,
        rows: &[Row],
    ) -> Result<(), Reject> {
        let emails = rows.iter().filter_map(|row| row.email_id);
        self.places = places(objects(cx)?, &selected.mbox.account, emails).await?;
        if self.labels.is_none() {
            self.labels = Some(Labels::load(cx, login, selected).await?);
        }
        Ok(())
    }

    fn render(&self, message: &Fetching<'_>, _read: Option<&Bytes>, line: &mut Line) -> Result<(), Reject> {
        let Some((labels, row)) = self.labels.as_ref().zip(message.row) else { return Ok(()) };
        let places = row.email_id.and_then(|email| self.places.get(&email)).into_iter().flatten();
        let is_starred = row.flags.contains(SystemFlag::Flagged);
        line.word("X-GM-LABELS ");
        put(&labels.of(places.map(|(mailbox, _)| mailbox), is_starred), line);
        Ok(())
    }
}
