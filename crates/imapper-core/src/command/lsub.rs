//! LSUB (RFC 3501 §6.3.9).

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::list::{self, Pattern};
use super::turn::Turn;
use crate::registry::slots::ListEntry;
use crate::registry::{Context, Flow, InAuthenticated, Outcome, Row, Run};
use crate::session::Login;
use crate::wire::Args;

pub(super) fn row() -> Row {
    Row::new("LSUB", Run::authenticated(Lsub))
}

struct Lsub;

#[async_trait]
impl InAuthenticated for Lsub {
    async fn run(&self, cx: &mut Context<'_>, login: &Login, args: &mut Args<'_>) -> Outcome {
        args.sp()?;
        let reference = args.mailbox_or_empty()?;
        args.sp()?;
        let pattern = args.list_mailbox()?;
        args.end()?;
        let ends_in_percent = pattern.ends_with('%');
        let pattern = Pattern::new(&reference, &pattern, cx)?;
        let mut there: BTreeMap<String, ListEntry> = BTreeMap::new();
        for entry in list::entries(cx, login, |_| true).await? {
            there.insert(entry.name.clone(), entry);
        }
        let (mut told, mut turn): (BTreeMap<String, ListEntry>, _) = (BTreeMap::new(), Turn::new());
        for name in cx.storage().subscriptions(&login.identity.account).await? {
            let Some((name, separator)) = cx.shared.namespaces.from_qualified(&name, &login.identity) else {
                continue;
            };
            turn.pause().await;
            if pattern.matches(&name, separator) {
                // A mailbox that is gone is still subscribed to (RFC 3501 §6.3.6).
                let entry =
                    there.get(&name).cloned().unwrap_or_else(|| ListEntry::new(name.clone(), separator));
                told.insert(name, entry);
            } else if ends_in_percent {
                // "foo" is told for "foo/bar", which is subscribed to, as a name that is not (RFC 3501 §6.3.9).
                for (end, _) in name.match_indices(separator) {
                    let parent = &name[..end];
                    if pattern.matches(parent, separator) && !told.contains_key(parent) {
                        let mut entry = ListEntry::new(parent.to_owned(), separator);
                        entry.has_children = true;
                        told.insert(parent.to_owned(), entry);
                    }
                }
            }
        }
        for mut entry in told.into_values() {
            list::decorate(cx, "LSUB", &mut entry);
            list::tell(cx, "LSUB", &entry).await?;
        }
        Ok(Flow::done())
    }
}
