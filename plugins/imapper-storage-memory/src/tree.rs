//! Changes of the tree of mailboxes.

use std::sync::Arc;

use imapper_core::storage::{MailboxId, MailboxInfo, Result, StorageError, TreeOp};

use crate::account::{Ids, State};
use crate::mailbox::Mailbox;

/// How many levels a name may have. A fixture of more could not be written down and read again.
const MAX_LEVELS: usize = 50;

/// The name that every personal account has (RFC 9051 §5.1).
pub(crate) const INBOX: &str = "INBOX";

impl State {
    /// Does a [`TreeOp`]; tells the mailbox, if there is one, and whether anything is other than before.
    pub(crate) fn change_tree(&mut self, ids: &Ids, op: TreeOp) -> Result<(Option<MailboxInfo>, bool)> {
        match op {
            TreeOp::Create { name, special_use } => {
                Ok((Some(self.create(ids, name, special_use)?.info()), true))
            }
            TreeOp::Rename { id, to } => self.rename(&id, &to),
            TreeOp::Delete { id } => {
                if self.personal && self.any(&id)?.name == INBOX {
                    return Err(StorageError::Denied);
                }
                let mailbox = self.take(&id).ok_or(StorageError::NoMailbox)?;
                Ok((Some(mailbox.info()), true))
            }
            TreeOp::Subscribe { name, on: true } => Ok((None, self.subscriptions.insert(name))),
            TreeOp::Subscribe { name, on: false } => Ok((None, self.subscriptions.remove(&name))),
            _ => Err(StorageError::Unsupported),
        }
    }

    /// Makes a mailbox. A placeholder of that name gives way to it, with an id of its own.
    pub(crate) fn create(
        &mut self,
        ids: &Ids,
        name: String,
        special_use: Vec<Arc<str>>,
    ) -> Result<&mut Mailbox> {
        self.check_free(&name)?;
        let mut mailbox = Mailbox::new(ids.mailbox(), name, self.new_validity()?);
        mailbox.special_use = special_use;
        let id = mailbox.id.clone();
        self.clear(&mailbox.name.clone());
        self.add(mailbox);
        self.mailbox_mut(&id)
    }

    /// That a name can be given: it is whole, and no mailbox that can be selected has it.
    pub(crate) fn check_free(&self, name: &str) -> Result<()> {
        if name.split('/').any(str::is_empty) {
            return Err(StorageError::Denied);
        }
        if name.split('/').count() > MAX_LEVELS {
            return Err(StorageError::Limit("too many levels in the name"));
        }
        match self.by_name(name) {
            Some(mailbox) if !mailbox.no_select => Err(StorageError::Exists),
            _ => Ok(()),
        }
    }

    /// Removes the placeholder of that name.
    pub(crate) fn clear(&mut self, name: &str) {
        if let Some(id) = self.names.get(name).cloned() {
            self.take(&id);
        }
    }

    /// Gives a mailbox and all below it other names, or does nothing.
    fn rename(&mut self, id: &MailboxId, to: &str) -> Result<(Option<MailboxInfo>, bool)> {
        let mailbox = self.any(id)?;
        let from = mailbox.name.clone();
        if from == to {
            return Ok((Some(mailbox.info()), false));
        }
        if self.personal && from == INBOX {
            return Err(StorageError::Denied);
        }
        self.check_free(to)?;
        let below = format!("{from}/");
        let moved: Vec<(String, MailboxId)> = self
            .names
            .range(from.clone()..)
            .take_while(|(name, _)| name.starts_with(&from))
            .filter(|(name, _)| **name == from || name.starts_with(&below))
            .map(|(name, id)| (name.clone(), id.clone()))
            .collect();
        let renamed = |name: &str| format!("{to}{}", name.strip_prefix(&from).unwrap_or_default());
        for (name, _) in moved.iter().skip(1) {
            let new = renamed(name);
            if !moved.iter().any(|(old, _)| *old == new) {
                self.check_free(&new)?;
            }
        }
        for (name, _) in &moved {
            self.names.remove(name);
        }
        for (name, id) in moved {
            let new = renamed(&name);
            self.clear(&new);
            if let Some(mailbox) = self.mailboxes.get_mut(&id) {
                mailbox.name.clone_from(&new);
            }
            self.names.insert(new, id);
        }
        Ok((Some(self.any(id)?.info()), true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    fn state(names: &[&str]) -> (State, Ids) {
        let ids = Ids::new();
        let mut state = State::new(true, NonZeroU32::MIN);
        for name in names {
            state.create(&ids, (*name).to_owned(), Vec::new()).unwrap();
        }
        (state, ids)
    }

    fn names(state: &State) -> Vec<&str> {
        state.names.keys().map(String::as_str).collect()
    }

    fn rename(state: &mut State, from: &str, to: &str) -> Result<()> {
        let id = state.names[from].clone();
        state.rename(&id, to).map(drop)
    }

    #[test]
    fn a_rename_takes_all_below_along_and_nothing_beside() {
        let (mut state, _) = state(&["INBOX", "a", "a b", "a/b", "a/b/c", "ab"]);
        rename(&mut state, "a", "x/y").unwrap();
        assert_eq!(names(&state), ["INBOX", "a b", "ab", "x/y", "x/y/b", "x/y/b/c"]);
        let id = &state.names["x/y/b/c"];
        assert_eq!(state.any(id).unwrap().name, "x/y/b/c");
    }

    #[test]
    fn a_rename_that_meets_a_name_does_nothing() {
        let (mut state, _) = state(&["INBOX", "a", "a/b", "x/b"]);
        assert!(matches!(rename(&mut state, "a", "x"), Err(StorageError::Exists)));
        assert!(matches!(rename(&mut state, "a", "INBOX"), Err(StorageError::Exists)));
        assert!(matches!(rename(&mut state, "INBOX", "y"), Err(StorageError::Denied)));
        assert!(matches!(rename(&mut state, "a", "y//z"), Err(StorageError::Denied)));
        assert_eq!(names(&state), ["INBOX", "a", "a/b", "x/b"]);
    }

    #[test]
    fn a_rename_below_itself_keeps_every_mailbox() {
        let (mut state, _) = state(&["a", "a/c", "a/x/c"]);
        rename(&mut state, "a", "a/x").unwrap();
        assert_eq!(names(&state), ["a/x", "a/x/c", "a/x/x/c"]);
        assert_eq!(state.mailboxes.len(), 3);
    }

    #[test]
    fn what_is_made_anew_has_another_id_and_uidvalidity() {
        let (mut state, ids) = state(&["a"]);
        let (id, validity) = (state.names["a"].clone(), state.by_name("a").unwrap().uid_validity);
        state.change_tree(&ids, TreeOp::Delete { id: id.clone() }).unwrap();
        state.create(&ids, "a".to_owned(), Vec::new()).unwrap();
        let again = state.by_name("a").unwrap();
        assert!(again.id != id && again.uid_validity > validity);
    }
}
