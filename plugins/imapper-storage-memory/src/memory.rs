//! The storage itself, and how it is set up.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use imapper_core::storage::{AccountId, Result};
use imapper_core::types::UidValidity;

use crate::account::{Account, Ids, State};
use crate::body::Bodies;
use crate::fixture::{Fixture, FixtureNamespace};
use crate::load::Template;
use crate::quota::Allowed;
use crate::tree::INBOX;

const MIB: u64 = 1024 * 1024;

/// A storage that keeps all mail in memory. What it holds is gone when it is dropped.
///
/// Accounts come into being when they are first used: with the personal mailboxes of the fixture, or with
/// an empty INBOX.
#[derive(Debug)]
pub struct Memory {
    accounts: RwLock<HashMap<AccountId, Arc<Account>>>,
    template: Template,
    /// Accounts of shared trees, which have no INBOX by themselves.
    shared: HashSet<AccountId>,
    first_validity: UidValidity,
    pub(crate) namespaces: Vec<FixtureNamespace>,
    pub(crate) ids: Ids,
    pub(crate) bodies: Arc<Bodies>,
    pub(crate) allowed: Allowed,
    pub(crate) max_message: u64,
}

impl Memory {
    /// An empty storage.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A storage whose bounds are set by hand.
    pub const fn builder() -> Builder {
        Builder {
            fixture: None,
            shared: Vec::new(),
            first_validity: None,
            loaded: None,
            max_message: 256 * MIB,
            max_staged: 1024 * MIB,
        }
    }

    /// A storage that holds what a fixture says.
    pub fn from_fixture(fixture: Fixture) -> Self {
        Self::builder().fixture(fixture).build()
    }

    /// The account, made if it is used for the first time.
    pub(crate) fn account(&self, id: &AccountId) -> Result<Arc<Account>> {
        if let Some(account) = self.accounts.read().unwrap_or_else(PoisonError::into_inner).get(id) {
            return Ok(Arc::clone(account));
        }
        let mut accounts = self.accounts.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = accounts.get(id) {
            return Ok(Arc::clone(account));
        }
        let account = Arc::new(self.new_account(id)?);
        accounts.insert(id.clone(), Arc::clone(&account));
        Ok(account)
    }

    /// An account as it is at first.
    pub(crate) fn new_account(&self, id: &AccountId) -> Result<Account> {
        let personal = !self.shared.contains(id);
        let mut state = State::new(personal, self.first_validity);
        self.template.load(&mut state, &self.ids, id)?;
        if personal && state.by_name(INBOX).is_none() {
            state.create(&self.ids, INBOX.to_owned(), Vec::new())?;
        }
        Ok(Account::new(state))
    }

    /// The accounts that were used and have got the personal mailboxes.
    pub(crate) fn users(&self) -> Vec<AccountId> {
        let accounts = self.accounts.read().unwrap_or_else(PoisonError::into_inner);
        let is_named = |id: &AccountId| self.template.accounts().any(|named| named == id);
        accounts.keys().filter(|id| !self.shared.contains(*id) && !is_named(id)).cloned().collect()
    }

    /// The accounts that were used, and those that the fixture brings.
    pub(crate) fn known_accounts(&self) -> Vec<(AccountId, Arc<Account>)> {
        for id in self.shared.iter().chain(self.template.accounts()) {
            // One that can't be made is told when it is asked for by name.
            let _ = self.account(id);
        }
        let accounts = self.accounts.read().unwrap_or_else(PoisonError::into_inner);
        accounts.iter().map(|(id, account)| (id.clone(), Arc::clone(account))).collect()
    }

    pub(crate) const fn shared(&self) -> &HashSet<AccountId> {
        &self.shared
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

/// Sets a [`Memory`] up.
#[derive(Debug)]
#[must_use]
pub struct Builder {
    fixture: Option<Fixture>,
    shared: Vec<AccountId>,
    first_validity: Option<UidValidity>,
    loaded: Option<SystemTime>,
    max_message: u64,
    max_staged: u64,
}

impl Builder {
    /// What the storage holds at first.
    pub fn fixture(mut self, fixture: Fixture) -> Self {
        self.fixture = Some(fixture);
        self
    }

    /// An account that owns a shared tree: it has no INBOX by itself. Those of the fixture are known.
    pub fn shared_account(mut self, id: AccountId) -> Self {
        self.shared.push(id);
        self
    }

    /// The UIDVALIDITY of each account's first mailbox. Without it, a fixture's accounts begin at 1, and
    /// others at the time in seconds: what a client remembers of an earlier run is then not taken for this
    /// one's.
    pub const fn first_uid_validity(mut self, first: UidValidity) -> Self {
        self.first_validity = Some(first);
        self
    }

    /// When messages of the fixture came that do not say so; the time of building without it.
    pub const fn loaded(mut self, at: SystemTime) -> Self {
        self.loaded = Some(at);
        self
    }

    /// The largest message, in octets; 256 MiB without it.
    pub const fn max_message(mut self, octets: u64) -> Self {
        self.max_message = octets;
        self
    }

    /// The most octets in bodies that are staged and not yet dropped or appended; 1 GiB without it.
    pub const fn max_staged(mut self, octets: u64) -> Self {
        self.max_staged = octets;
        self
    }

    /// The storage.
    pub fn build(self) -> Memory {
        let of_now = || {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            u32::try_from(now.as_secs()).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN)
        };
        let from_one = self.fixture.is_some().then_some(NonZeroU32::MIN);
        let first_validity = self.first_validity.or(from_one).unwrap_or_else(of_now);
        let bodies = Arc::new(Bodies::new(self.max_staged));
        let fixture = self.fixture.unwrap_or_default();
        let mut shared: HashSet<AccountId> = self.shared.into_iter().collect();
        shared.extend(fixture.shared_accounts().cloned());
        Memory {
            accounts: RwLock::default(),
            namespaces: fixture.namespaces().to_vec(),
            template: Template::new(fixture, &bodies, self.loaded.unwrap_or_else(SystemTime::now)),
            shared,
            first_validity,
            ids: Ids::new(),
            bodies,
            allowed: Allowed::default(),
            max_message: self.max_message,
        }
    }
}
