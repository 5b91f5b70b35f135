//! What is spoken: the base protocol and the extensions fill typed slots of one registry, which is frozen when
//! the server starts.

mod context;
mod door;
mod handler;
pub mod slots;

use std::collections::HashMap;
use std::sync::Arc;

pub use context::{Context, Found, Shared};
pub use door::{Door, Refused, Ticket};
pub use handler::{
    Availability, Flow, InAny, InAnyState, InAuthenticated, InNotAuthenticated, InSelected, Moment, Outcome,
    Reader, Row, Run, UidForm, Updates, Upgrade, Waiting, Wrap, Writer,
};

use crate::session::{Access, Data, Filter, Policy, Shape};
use crate::users::{ConnectionInfo, Mechanism};
use slots::{
    BeforeCommand, CreateParameter, Enabling, FetchItem, FetchModifier, ListAttribute, ListReturn,
    ListSelection, OnDone, SearchKey, SearchReturn, SelectParameter, StatusItem, StorageLayer, StoreItem,
    StoreModifier,
};

/// An extension of the protocol: fills slots, and leaves no trace where it is not installed.
pub trait Extension: Send + Sync {
    /// Its name: the capability, or the word by which it is chosen.
    fn name(&self) -> &'static str;

    /// The extensions that it needs, by name.
    fn requires(&self) -> &[&'static str] {
        &[]
    }

    /// The extensions beside which it can't be on, by name.
    fn excludes(&self) -> &[&'static str] {
        &[]
    }

    /// Fills its slots.
    fn install(&self, registry: &mut Registry);
}

/// Two owners of one word, or an extension without one that it needs: the server does not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// Both give the same word.
    #[error("{slot} {word} is given by both {first} and {second}")]
    Conflict {
        /// The slot.
        slot: &'static str,
        /// The word.
        word: String,
        /// Who gave it first.
        first: &'static str,
        /// Who gave it then.
        second: &'static str,
    },
    /// An extension needs another one.
    #[error("extension {extension} requires {missing}, which is not on")]
    Missing {
        /// The extension.
        extension: &'static str,
        /// What it needs.
        missing: &'static str,
    },
    /// Two extensions that can't both be on.
    #[error("{extension} and {other} can't both be on")]
    Excluded {
        /// The extension.
        extension: &'static str,
        /// The one beside which it can't be on.
        other: &'static str,
    },
    /// The same extension twice.
    #[error("extension {0} is there twice")]
    Twice(&'static str),
    /// A command is wrapped, or given a form with UID, that is not there.
    #[error("{extension} changes the command {command}, which is not there")]
    NotThere {
        /// The extension.
        extension: &'static str,
        /// The command.
        command: &'static str,
    },
}

type Wrapping = Box<dyn FnOnce(Run) -> Run + Send + Sync>;

/// The words of one slot, in any case, each with its owner.
pub struct Words<T: ?Sized> {
    slot: &'static str,
    known: HashMap<String, (&'static str, Arc<T>)>,
    names: Vec<&'static str>,
}

impl<T: ?Sized> Words<T> {
    fn new(slot: &'static str) -> Self {
        Self { slot, known: HashMap::new(), names: Vec::new() }
    }

    /// What the word stands for, in any case.
    pub fn get(&self, word: &str) -> Option<&Arc<T>> {
        // Words come in upper case but for rare ones; so the usual look-up allocates nothing.
        let entry = self.known.get(word).or_else(|| self.known.get(&word.to_ascii_uppercase()));
        entry.map(|(_, value)| value)
    }

    /// What the words are.
    pub const fn slot(&self) -> &'static str {
        self.slot
    }

    /// The words, in the order in which they were given.
    pub fn names(&self) -> &[&'static str] {
        &self.names
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

/// The slots. See each method for what it fills.
pub struct Registry {
    owner: &'static str,
    extensions: Vec<&'static str>,
    error: Option<RegistryError>,
    pub(crate) capabilities: Vec<(String, Option<Availability>)>,
    pub(crate) commands: HashMap<&'static str, (&'static str, Row)>,
    // Who wraps which command, and how.
    wraps: Vec<(&'static str, &'static str, Wrapping)>,
    // Who lets which command come with UID.
    uid_forms: Vec<(&'static str, &'static str)>,
    pub(crate) before: Vec<Arc<dyn BeforeCommand>>,
    pub(crate) filters: Vec<Arc<dyn Filter>>,
    pub(crate) shapes: Vec<Arc<dyn Shape>>,
    pub(crate) enables: Words<dyn Enabling>,
    pub(crate) fetch_items: Words<dyn FetchItem>,
    pub(crate) fetch_modifiers: Words<dyn FetchModifier>,
    pub(crate) store_items: Words<dyn StoreItem>,
    pub(crate) store_modifiers: Words<dyn StoreModifier>,
    pub(crate) search_keys: Words<dyn SearchKey>,
    pub(crate) search_returns: Words<dyn SearchReturn>,
    pub(crate) status_items: Words<dyn StatusItem>,
    pub(crate) select_parameters: Words<dyn SelectParameter>,
    pub(crate) create_parameters: Words<dyn CreateParameter>,
    pub(crate) list_attributes: Vec<Arc<dyn ListAttribute>>,
    pub(crate) list_selections: Words<dyn ListSelection>,
    pub(crate) list_returns: Words<dyn ListReturn>,
    pub(crate) done: Vec<Arc<dyn OnDone>>,
    pub(crate) mechanisms: Words<dyn Mechanism>,
    pub(crate) layers: Vec<Arc<dyn StorageLayer>>,
    pub(crate) access: Option<Arc<dyn Access>>,
    policies: Vec<fn(&mut Policy)>,
    holds_plaintext: Option<fn(&ConnectionInfo) -> bool>,
    takes_initial_response: bool,
    kept: Data,
}

impl Registry {
    /// Nothing but the base protocol, with the commands of that table.
    pub(crate) fn new(base: impl FnOnce(&mut Self)) -> Self {
        let mut registry = Self {
            owner: "the base protocol",
            extensions: Vec::new(),
            error: None,
            capabilities: Vec::new(),
            commands: HashMap::new(),
            wraps: Vec::new(),
            uid_forms: Vec::new(),
            before: Vec::new(),
            filters: Vec::new(),
            shapes: Vec::new(),
            enables: Words::new("word to turn on"),
            fetch_items: Words::new("FETCH item"),
            fetch_modifiers: Words::new("FETCH modifier"),
            store_items: Words::new("STORE item"),
            store_modifiers: Words::new("STORE modifier"),
            search_keys: Words::new("SEARCH key"),
            search_returns: Words::new("SEARCH return option"),
            status_items: Words::new("STATUS item"),
            select_parameters: Words::new("parameter of SELECT"),
            create_parameters: Words::new("parameter of CREATE"),
            list_attributes: Vec::new(),
            list_selections: Words::new("LIST selection option"),
            list_returns: Words::new("LIST return option"),
            done: Vec::new(),
            mechanisms: Words::new("SASL mechanism"),
            layers: Vec::new(),
            access: None,
            policies: Vec::new(),
            holds_plaintext: None,
            takes_initial_response: false,
            kept: Data::default(),
        };
        base(&mut registry);
        registry
    }

    /// Installs extensions, each after those that it needs, and freezes.
    pub(crate) fn install(mut self, extensions: &[Box<dyn Extension>]) -> Result<Self, RegistryError> {
        let names: Vec<&'static str> = extensions.iter().map(|extension| extension.name()).collect();
        for (at, extension) in extensions.iter().enumerate() {
            if names[..at].contains(&extension.name()) {
                return Err(RegistryError::Twice(extension.name()));
            }
            if let Some(missing) = extension.requires().iter().find(|name| !names.contains(name)) {
                return Err(RegistryError::Missing { extension: extension.name(), missing });
            }
            if let Some(other) = extension.excludes().iter().find(|name| names.contains(name)) {
                return Err(RegistryError::Excluded { extension: extension.name(), other });
            }
        }
        let mut waiting: Vec<&Box<dyn Extension>> = extensions.iter().collect();
        while !waiting.is_empty() {
            let before = waiting.len();
            waiting.retain(|extension| {
                let ready = extension.requires().iter().all(|name| self.extensions.contains(name));
                if ready {
                    self.owner = extension.name();
                    self.extensions.push(extension.name());
                    extension.install(&mut self);
                }
                !ready
            });
            if waiting.len() == before {
                // They need one another: then any order is as good.
                let extension = waiting.remove(0);
                self.owner = extension.name();
                self.extensions.push(extension.name());
                extension.install(&mut self);
            }
        }
        for (owner, command, wrap) in std::mem::take(&mut self.wraps) {
            let Some((_, row)) = self.commands.get_mut(command) else {
                return Err(RegistryError::NotThere { extension: owner, command });
            };
            row.run = wrap(row.run.clone());
        }
        for (owner, command) in std::mem::take(&mut self.uid_forms) {
            let Some((_, row)) = self.commands.get_mut(command) else {
                return Err(RegistryError::NotThere { extension: owner, command });
            };
            row.uid = UidForm::Also;
        }
        match self.error.take() {
            Some(error) => Err(error),
            None => Ok(self),
        }
    }

    fn add<T: ?Sized>(
        error: &mut Option<RegistryError>,
        owner: &'static str,
        words: &mut Words<T>,
        word: &'static str,
        value: Arc<T>,
    ) {
        let key = word.to_ascii_uppercase();
        if let Some((first, _)) = words.known.get(&key) {
            let conflict = RegistryError::Conflict { slot: words.slot, word: key, first, second: owner };
            error.get_or_insert(conflict);
            return;
        }
        words.names.push(word);
        words.known.insert(key, (owner, value));
    }

    /// Shows a word in CAPABILITY, in every state.
    pub fn capability(&mut self, word: impl Into<String>) {
        self.capabilities.push((word.into(), None));
    }

    /// Shows a word in CAPABILITY when `available` says so.
    pub fn capability_when(
        &mut self,
        word: impl Into<String>,
        available: impl Fn(&Moment<'_>) -> bool + Send + Sync + 'static,
    ) {
        self.capabilities.push((word.into(), Some(Arc::new(available))));
    }

    /// Adds a command.
    pub fn command(&mut self, row: Row) {
        if let Some((first, _)) = self.commands.get(row.name) {
            let conflict = RegistryError::Conflict {
                slot: "command",
                word: row.name.to_owned(),
                first,
                second: self.owner,
            };
            self.error.get_or_insert(conflict);
            return;
        }
        self.commands.insert(row.name, (self.owner, row));
    }

    /// Puts another handler in a command's place, which gets the one before it. Happens when all extensions
    /// are installed, so that their order does not matter for whether the command is there.
    pub fn wrap(&mut self, command: &'static str, wrap: impl FnOnce(Run) -> Run + Send + Sync + 'static) {
        self.wraps.push((self.owner, command, Box::new(wrap)));
    }

    /// Lets a command come with UID before it, too. Its handler is to be wrapped for that: see
    /// [`Context::uid`].
    pub fn also_with_uid(&mut self, command: &'static str) {
        self.uid_forms.push((self.owner, command));
    }

    /// Is asked before each command is run.
    pub fn before_command(&mut self, before: impl BeforeCommand) {
        self.before.push(Arc::new(before));
    }

    /// Sees each response before it is written.
    pub fn filter(&mut self, filter: impl Filter) {
        self.filters.push(Arc::new(filter));
    }

    /// Shapes what leaves for the clients.
    pub fn shape(&mut self, shape: impl Shape) {
        self.shapes.push(Arc::new(shape));
    }

    /// A word of ENABLE.
    pub fn enable(&mut self, word: &'static str, enabling: impl Enabling) {
        Self::add(&mut self.error, self.owner, &mut self.enables, word, Arc::new(enabling));
    }

    /// A word of FETCH.
    pub fn fetch_item(&mut self, word: &'static str, item: impl FetchItem) {
        Self::add(&mut self.error, self.owner, &mut self.fetch_items, word, Arc::new(item));
    }

    /// A modifier of FETCH.
    pub fn fetch_modifier(&mut self, word: &'static str, modifier: impl FetchModifier) {
        Self::add(&mut self.error, self.owner, &mut self.fetch_modifiers, word, Arc::new(modifier));
    }

    /// A word of STORE.
    pub fn store_item(&mut self, word: &'static str, item: impl StoreItem) {
        Self::add(&mut self.error, self.owner, &mut self.store_items, word, Arc::new(item));
    }

    /// A modifier of STORE.
    pub fn store_modifier(&mut self, word: &'static str, modifier: impl StoreModifier) {
        Self::add(&mut self.error, self.owner, &mut self.store_modifiers, word, Arc::new(modifier));
    }

    /// A key of SEARCH.
    pub fn search_key(&mut self, word: &'static str, key: impl SearchKey) {
        Self::add(&mut self.error, self.owner, &mut self.search_keys, word, Arc::new(key));
    }

    /// A return option of SEARCH.
    pub fn search_return(&mut self, word: &'static str, option: impl SearchReturn) {
        Self::add(&mut self.error, self.owner, &mut self.search_returns, word, Arc::new(option));
    }

    /// An item of STATUS.
    pub fn status_item(&mut self, word: &'static str, item: impl StatusItem) {
        Self::add(&mut self.error, self.owner, &mut self.status_items, word, Arc::new(item));
    }

    /// A parameter of SELECT and EXAMINE.
    pub fn select_parameter(&mut self, word: &'static str, parameter: impl SelectParameter) {
        Self::add(&mut self.error, self.owner, &mut self.select_parameters, word, Arc::new(parameter));
    }

    /// A parameter of CREATE.
    pub fn create_parameter(&mut self, word: &'static str, parameter: impl CreateParameter) {
        Self::add(&mut self.error, self.owner, &mut self.create_parameters, word, Arc::new(parameter));
    }

    /// Adds attributes to what LIST and LSUB tell.
    pub fn list_attribute(&mut self, attribute: impl ListAttribute) {
        self.list_attributes.push(Arc::new(attribute));
    }

    /// A selection option of LIST.
    pub fn list_selection(&mut self, word: &'static str, option: impl ListSelection) {
        Self::add(&mut self.error, self.owner, &mut self.list_selections, word, Arc::new(option));
    }

    /// A return option of LIST.
    pub fn list_return(&mut self, word: &'static str, option: impl ListReturn) {
        Self::add(&mut self.error, self.owner, &mut self.list_returns, word, Arc::new(option));
    }

    /// Adds to replies, by what was done.
    pub fn on_done(&mut self, done: impl OnDone) {
        self.done.push(Arc::new(done));
    }

    /// A SASL mechanism, for AUTHENTICATE; its capability `AUTH=…` is shown where it can be used.
    pub fn mechanism(&mut self, mechanism: impl Mechanism) {
        let mechanism = Arc::new(mechanism);
        let name = mechanism.name();
        Self::add(&mut self.error, self.owner, &mut self.mechanisms, name, mechanism);
    }

    /// A storage around the storage.
    pub fn storage_layer(&mut self, layer: impl StorageLayer) {
        self.layers.push(Arc::new(layer));
    }

    /// Answers who may do what, in the place of the answer without access control lists.
    pub fn access(&mut self, access: impl Access) {
        self.access = Some(Arc::new(access));
    }

    /// Turns neutral knobs of every new session.
    pub fn policy(&mut self, turn: fn(&mut Policy)) {
        self.policies.push(turn);
    }

    /// Holds back LOGIN and plaintext mechanisms on connections of which `holds` is true.
    pub fn hold_plaintext(&mut self, holds: fn(&ConnectionInfo) -> bool) {
        self.holds_plaintext = Some(holds);
    }

    /// Lets AUTHENTICATE take an initial response (RFC 4959).
    pub fn take_initial_response(&mut self) {
        self.takes_initial_response = true;
    }

    /// Keeps something for other extensions: at most one value of each type, in the place of an older one.
    pub fn keep<T: Send + Sync + 'static>(&mut self, value: T) {
        self.kept.insert(value);
    }

    /// What an extension keeps for others; `None` where that extension is off.
    pub fn kept<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.kept.get()
    }

    /// The names of the extensions that are on.
    pub fn extensions(&self) -> &[&'static str] {
        &self.extensions
    }

    /// The knobs of a new session.
    pub fn new_policy(&self) -> Policy {
        let mut policy = Policy::default();
        for turn in &self.policies {
            turn(&mut policy);
        }
        policy
    }

    /// Whether a password must not be sent in clear on that connection.
    pub fn is_plaintext_held(&self, connection: &ConnectionInfo) -> bool {
        self.holds_plaintext.is_some_and(|holds| holds(connection))
    }

    /// Whether AUTHENTICATE takes an initial response.
    pub const fn has_initial_response(&self) -> bool {
        self.takes_initial_response
    }

    /// The row of a command, by its word in upper case.
    pub fn row(&self, name: &str) -> Option<&Row> {
        self.commands.get(name).map(|(_, row)| row)
    }

    /// The SASL mechanism of that name, in any case.
    pub fn find_mechanism(&self, name: &str) -> Option<&Arc<dyn Mechanism>> {
        self.mechanisms.get(name)
    }

    /// The word of ENABLE, in any case: as it is told, and what it turns.
    pub fn find_enabling(&self, word: &str) -> Option<(&'static str, &Arc<dyn Enabling>)> {
        let name = self.enables.names().iter().find(|name| name.eq_ignore_ascii_case(word))?;
        Some((name, self.enables.get(name)?))
    }
}
