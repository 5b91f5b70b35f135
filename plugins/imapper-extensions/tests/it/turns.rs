//! A command that takes long to compute leaves other sessions their turn, though it never waits for anything.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use imapper_core::registry::slots::{FetchItem, Fetched, Fetching, ListAttribute, ListEntry};
use imapper_core::session::Reject;
use imapper_core::storage::Want;
use imapper_core::wire::{Args, Line};
use imapper_core::{Bytes, Extension, Registry};

use crate::client::{Client, server};

/// How often others have had their turn: now, and at each piece of work.
#[derive(Clone, Default)]
struct Work {
    turns: Arc<AtomicUsize>,
    seen: Arc<Mutex<Vec<usize>>>,
}

impl Work {
    /// Works for longer than a turn.
    fn work(&self) {
        self.seen.lock().unwrap().push(self.turns.load(Ordering::SeqCst));
        std::thread::sleep(Duration::from_millis(11));
    }

    /// Another session, as far as the threads are concerned.
    async fn other(self) {
        loop {
            self.turns.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
        }
    }
}

impl Extension for Work {
    fn name(&self) -> &'static str {
        "XWORK"
    }

    fn install(&self, registry: &mut Registry) {
        registry.fetch_item("XWORK", self.clone());
        registry.list_attribute(self.clone());
    }
}

impl FetchItem for Work {
    fn parse(&self, _: &mut Args<'_>) -> Result<Box<dyn Fetched>, Reject> {
        Ok(Box::new(self.clone()))
    }
}

impl Fetched for Work {
    fn wants(&self) -> Option<Want> {
        Some(Want::FLAGS)
    }

    fn render(&self, _: &Fetching<'_>, _: Option<&Bytes>, line: &mut Line) -> Result<(), Reject> {
        self.work();
        line.word("XWORK NIL");
        Ok(())
    }
}

impl ListAttribute for Work {
    fn decorate(&self, _: &mut ListEntry) {
        self.work();
    }
}

#[tokio::test]
async fn between_the_items_of_a_message_and_between_mailboxes() {
    let work = Work::default();
    let mut client = Client::selected(&server(vec![Box::new(work.clone())])).await;
    for name in ["a", "b", "c", "d"] {
        client.ok(&format!("m1 CREATE {name}")).await;
    }
    let other = tokio::spawn(work.clone().other());
    for command in ["a1 FETCH 1 (XWORK XWORK XWORK XWORK XWORK)", "a2 LIST \"\" *"] {
        client.ok(command).await;
        let seen = std::mem::take(&mut *work.seen.lock().unwrap());
        let turns = seen.last().unwrap() - seen.first().unwrap();
        assert!(seen.len() == 5 && turns > 1, "{command}: {seen:?}");
    }
    other.abort();
}
