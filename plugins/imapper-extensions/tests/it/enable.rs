//! ENABLE with something that can be turned on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use imapper_core::registry::slots::Enabling;
use imapper_core::registry::{Context, Extension, Registry};

use crate::client::{Client, by_name, server};

/// Offers X-GOOD-IDEA, and X-BAD-IDEA that can't be turned on.
struct Ideas(Arc<AtomicU32>);

impl Extension for Ideas {
    fn name(&self) -> &'static str {
        "X-IDEAS"
    }

    fn install(&self, registry: &mut Registry) {
        registry.enable("X-GOOD-IDEA", Good(Arc::clone(&self.0)));
        registry.enable("X-BAD-IDEA", Bad);
    }
}

struct Good(Arc<AtomicU32>);

impl Enabling for Good {
    fn enable(&self, _cx: &mut Context<'_>) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed);
        true
    }
}

struct Bad;

impl Enabling for Bad {
    fn enable(&self, _cx: &mut Context<'_>) -> bool {
        false
    }
}

#[tokio::test]
async fn only_what_is_newly_on_is_told_whatever_the_order_of_installing() {
    for ideas_first in [true, false] {
        let asked = Arc::new(AtomicU32::new(0));
        let mut extensions = by_name(&["ENABLE"], true);
        extensions.insert(usize::from(!ideas_first), Box::new(Ideas(Arc::clone(&asked))));
        let mut client = Client::logged_in(&server(extensions)).await;
        let before = client.capabilities().await;
        assert_eq!(client.ok("a1 ENABLE X-NONE IDLE").await, ["* ENABLED"]);
        assert_eq!(
            client.ok("a2 ENABLE X-BAD-IDEA x-good-idea X-GOOD-IDEA").await,
            ["* ENABLED X-GOOD-IDEA"]
        );
        assert_eq!(client.ok("a3 ENABLE X-GOOD-IDEA").await, ["* ENABLED"]);
        // What is on already is not turned on again.
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        assert_eq!(client.capabilities().await, before);
    }
}

#[tokio::test]
async fn without_enable_nothing_is_turned_on() {
    let asked = Arc::new(AtomicU32::new(0));
    let mut client = Client::logged_in(&server(vec![Box::new(Ideas(Arc::clone(&asked)))])).await;
    assert!(client.run("a1 ENABLE X-GOOD-IDEA").await.concat().starts_with("a1 BAD "));
    assert_eq!(asked.load(Ordering::Relaxed), 0);
}
