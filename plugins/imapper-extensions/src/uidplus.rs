//! UIDPLUS (RFC 4315): removing by UID, and the UIDs that messages get by APPEND and COPY.

use std::sync::Arc;

use async_trait::async_trait;
use imapper_core::command::expunge;
use imapper_core::registry::slots::{Done, OnDone};
use imapper_core::registry::{Context, Extension, Flow, InSelected, Outcome, Registry, Run};
use imapper_core::session::{Login, Reject, Reply, Rights, Selected};
use imapper_core::types::{Code, UidSet};
use imapper_core::wire::Args;

pub(crate) const WORDS: &[&str] = &["UIDPLUS", "UID EXPUNGE", "APPENDUID", "COPYUID"];

/// The extension. UIDNOTSTICKY (RFC 4315 §3) is never said: UIDs stay in every storage.
#[derive(Clone, Copy, Debug, Default)]
pub struct UidPlus;

impl Extension for UidPlus {
    fn name(&self) -> &'static str {
        "UIDPLUS"
    }

    fn install(&self, registry: &mut Registry) {
        registry.capability("UIDPLUS");
        registry.also_with_uid("EXPUNGE");
        registry.wrap("EXPUNGE", |previous| match previous {
            Run::Selected(previous) => Run::selected(UidExpunge { previous }),
            other => other,
        });
        registry.on_done(Self);
    }
}

/// UID EXPUNGE (RFC 4315 §2.1), and EXPUNGE as it was.
struct UidExpunge {
    previous: Arc<dyn InSelected>,
}

#[async_trait]
impl InSelected for UidExpunge {
    async fn run(
        &self,
        cx: &mut Context<'_>,
        login: &Login,
        selected: &mut Selected,
        args: &mut Args<'_>,
    ) -> Outcome {
        if !cx.uid {
            return self.previous.run(cx, login, selected, args).await;
        }
        args.sp()?;
        let uids = args.sequence_set()?;
        args.end()?;
        let uids = uids.resolve(selected.view.told().last_uid());
        let code = expunge::remove(cx, selected, uids).await?;
        Ok(Flow::Done(Reply { code, ..Reply::completed() }))
    }
}

#[async_trait]
impl OnDone for UidPlus {
    /// APPENDUID and COPYUID (RFC 4315 §3). Not for a mailbox that the user can't open: they would tell what
    /// is in it.
    async fn done(&self, _cx: &mut Context<'_>, done: &Done<'_>) -> Result<Option<Code>, Reject> {
        Ok(match done {
            Done::Appended(appended, rights) if rights.contains(Rights::READ) => {
                let uids: UidSet = appended.uids.iter().copied().collect();
                Some(Code::new(format!("APPENDUID {} {uids}", appended.uid_validity)))
            }
            Done::Copied(copied, _, rights) if rights.contains(Rights::READ) && !copied.pairs.is_empty() => {
                // Old and new UIDs both ascend, so that sets keep them paired.
                let old: UidSet = copied.pairs.iter().map(|(old, _)| *old).collect();
                let new: UidSet = copied.pairs.iter().map(|(_, new)| *new).collect();
                Some(Code::new(format!("COPYUID {} {old} {new}", copied.uid_validity)))
            }
            _ => None,
        })
    }
}
