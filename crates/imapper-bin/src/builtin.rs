//! What a build holds: storages, user databases, protocol extensions, each under the name that a
//! configuration calls it by. A third party's server adds its own.

#[cfg(feature = "maildir")]
mod maildir;
#[cfg(feature = "memory")]
mod memory;
#[cfg(feature = "static")]
mod static_users;

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use imapper_core::registry::Extension;
use imapper_core::session::Namespace;
use imapper_core::storage::Storage;
use imapper_core::users::{Chain, Users};

use crate::config::{Problem, nearest};
use crate::error::Failure;
use crate::extensions::Known;
use crate::plugin::{PluginConfig, PluginError};

/// An opened storage.
pub struct OpenedStorage {
    pub(crate) storage: Arc<dyn Storage>,
    /// The namespaces that the storage brings along; they win over those of the configuration.
    pub(crate) namespaces: Option<Vec<Namespace>>,
}

impl OpenedStorage {
    /// A storage that brings along what clients see of its tree. Whoever owns a shared one has no INBOX there; that is
    /// for the storage to see to.
    #[must_use]
    pub fn with_namespaces(mut self, namespaces: Vec<Namespace>) -> Self {
        self.namespaces = Some(namespaces);
        self
    }
}

impl<S: Storage> From<S> for OpenedStorage {
    fn from(storage: S) -> Self {
        Self { storage: Arc::new(storage), namespaces: None }
    }
}

type StorageFactory =
    Box<dyn Fn(PluginConfig) -> BoxFuture<'static, Result<OpenedStorage, PluginError>> + Send + Sync>;
type UsersFactory =
    Box<dyn Fn(PluginConfig) -> BoxFuture<'static, Result<Arc<dyn Users>, PluginError>> + Send + Sync>;

/// The plugins of a build. [`builtin`] gives those that its features name.
#[derive(Default)]
pub struct Builtin {
    storages: BTreeMap<String, StorageFactory>,
    users: BTreeMap<String, UsersFactory>,
    extensions: Vec<Entry>,
}

/// An extension that a configuration may name.
struct Entry {
    name: &'static str,
    aliases: &'static [&'static str],
    requires: Vec<&'static str>,
    excludes: Vec<&'static str>,
    standard: bool,
    /// Whether it is on whatever the configuration says.
    always: bool,
    make: ExtensionFactory,
}

type ExtensionFactory = Box<dyn Fn(&imapper_extensions::Options) -> Box<dyn Extension> + Send + Sync>;

/// Plugins that have a name but no crate yet, and the feature that will hold them.
const LATER_STORAGES: [&str; 1] = ["s3"];
const LATER_USERS: [&str; 3] = ["htpasswd", "ldap", "sql"];

impl Builtin {
    /// No plugin at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds a storage under a name, in the place of one that had it. `open` gets the table `[storage]`.
    #[must_use]
    pub fn storage<F, R, S>(mut self, name: impl Into<String>, open: F) -> Self
    where
        F: Fn(PluginConfig) -> R + Send + Sync + 'static,
        R: Future<Output = Result<S, PluginError>> + Send + 'static,
        S: Into<OpenedStorage>,
    {
        let open = move |config| -> BoxFuture<'static, _> {
            let opening = open(config);
            Box::pin(async move { opening.await.map(Into::into) })
        };
        self.storages.insert(name.into(), Box::new(open));
        self
    }

    /// Adds a user database under a name, in the place of one that had it. `open` gets the table `[users]`;
    /// it is called again on SIGHUP.
    #[must_use]
    pub fn users<F, R, U>(mut self, name: impl Into<String>, open: F) -> Self
    where
        F: Fn(PluginConfig) -> R + Send + Sync + 'static,
        R: Future<Output = Result<U, PluginError>> + Send + 'static,
        U: Users,
    {
        let open = move |config| -> BoxFuture<'static, _> {
            let opening = open(config);
            Box::pin(async move { opening.await.map(|users| Arc::new(users) as Arc<dyn Users>) })
        };
        self.users.insert(name.into(), Box::new(open));
        self
    }

    /// Adds a protocol extension, which is on where the configuration says nothing.
    #[must_use]
    pub fn extension<E: Extension + 'static>(self, make: impl Fn() -> E + Send + Sync + 'static) -> Self {
        self.entry(&[], true, Box::new(move |_| Box::new(make())))
    }

    /// Adds a protocol extension that is on whatever the configuration says, in the place of one of its name.
    #[cfg(all(feature = "memory", feature = "static"))]
    pub(crate) fn always<E: Extension + 'static>(
        mut self,
        make: impl Fn() -> E + Send + Sync + 'static,
    ) -> Self {
        let name = make().name();
        self.extensions.retain(|entry| entry.name != name);
        self = self.entry(&[], false, Box::new(move |_| Box::new(make())));
        if let Some(entry) = self.extensions.last_mut() {
            entry.always = true;
        }
        self
    }

    fn entry(mut self, aliases: &'static [&'static str], standard: bool, make: ExtensionFactory) -> Self {
        let made = make(&imapper_extensions::Options::default());
        let (name, requires, excludes) = (made.name(), made.requires().to_vec(), made.excludes().to_vec());
        self.extensions.push(Entry { name, aliases, requires, excludes, standard, always: false, make });
        self
    }

    pub(crate) fn known_extensions(&self) -> Vec<Known<'_>> {
        let known = |entry| {
            let Entry { name, aliases, requires, excludes, standard, .. }: &Entry = entry;
            Known { name, aliases, requires, excludes, standard: *standard }
        };
        self.extensions.iter().map(known).collect()
    }

    /// Makes the extensions at those places of the list, and those that are always on.
    pub(crate) fn make_extensions(
        &self,
        on: &[usize],
        options: &imapper_extensions::Options,
    ) -> Vec<Box<dyn Extension>> {
        let all = self.extensions.iter().enumerate();
        let chosen = all.filter(|(at, entry)| entry.always || on.contains(at));
        chosen.map(|(_, entry)| (entry.make)(options)).collect()
    }

    /// The names of the storages.
    pub fn storage_names(&self) -> impl Iterator<Item = &str> {
        self.storages.keys().map(String::as_str)
    }

    /// The names of the user databases.
    pub fn users_names(&self) -> impl Iterator<Item = &str> {
        self.users.keys().map(String::as_str)
    }

    pub(crate) async fn open_storage(&self, config: &PluginConfig) -> Result<OpenedStorage, Vec<Problem>> {
        let open = self
            .storages
            .get(config.plugin())
            .ok_or_else(|| vec![absent("storage", config, self.storage_names(), &LATER_STORAGES)])?;
        checked(config, open(config.clone()).await)
    }

    /// Opens each database of users, and makes one of them.
    pub(crate) async fn open_users(&self, configs: &[PluginConfig]) -> Result<Arc<dyn Users>, Vec<Problem>> {
        let (mut opened, mut problems) = (Vec::new(), Vec::new());
        for config in configs {
            let result = match self.users.get(config.plugin()) {
                Some(open) => checked(config, open(config.clone()).await),
                None => Err(vec![absent("users", config, self.users_names(), &LATER_USERS)]),
            };
            match result {
                Ok(users) => opened.push(users),
                Err(found) => problems.extend(found),
            }
        }
        match opened.pop() {
            _ if !problems.is_empty() => Err(problems),
            Some(only) if opened.is_empty() => Ok(only),
            last => {
                opened.extend(last);
                Ok(Arc::new(Chain::new(opened)))
            }
        }
    }
}

/// What opening gave, or what is wrong, the keys that the plugin does not know among it.
fn checked<T>(config: &PluginConfig, opened: Result<T, PluginError>) -> Result<T, Vec<Problem>> {
    let mut problems = config.unknown_keys();
    match opened {
        Ok(opened) if problems.is_empty() => Ok(opened),
        Ok(_) => Err(problems),
        Err(error) => {
            problems.push(config.failed(&error));
            Err(problems)
        }
    }
}

/// What is said of a plugin that this build does not hold.
fn absent<'a>(
    kind: &str,
    config: &PluginConfig,
    there_are: impl Iterator<Item = &'a str>,
    later: &[&str],
) -> Problem {
    let name = config.plugin();
    let there_are: Vec<&str> = there_are.collect();
    if later.contains(&name) {
        let holds = format!("this version does not have it yet; the feature `{name}` will hold it");
        return config.problem(format!("{kind} plugin {name:?} is not in this build: {holds}"));
    }
    let feature = match name {
        "maildir" | "memory" | "static" => format!(": build imapper-bin with the feature `{name}`"),
        _ => nearest(name, there_are.iter().copied())
            .map_or(String::new(), |near| format!("; did you mean {near:?}?")),
    };
    let list = if there_are.is_empty() { "none".to_owned() } else { there_are.join(", ") };
    config.problem(format!("{kind} plugin {name:?} is not in this build{feature} (there are: {list})"))
}

/// The mail of a JSON fixture, in memory.
#[cfg(feature = "memory")]
pub(crate) fn fixture(path: &Path) -> Result<Arc<dyn Storage>, Failure> {
    let memory = memory::fixture(path).map_err(|error| Failure::Running(error.to_string()))?;
    Ok(Arc::new(memory))
}

/// The mail of a JSON fixture, in memory.
#[cfg(not(feature = "memory"))]
pub(crate) fn fixture(_path: &Path) -> Result<Arc<dyn Storage>, Failure> {
    Err(Failure::configuration("to read JSON, build imapper-bin with the feature `memory`"))
}

/// The plugins that the features of this build name.
pub fn builtin() -> Builtin {
    let mut builtin = Builtin::none();
    for entry in imapper_extensions::all() {
        builtin =
            builtin.entry(entry.aliases, entry.standard, Box::new(move |options| entry.extension(options)));
    }
    #[cfg(feature = "maildir")]
    let builtin = maildir::add(builtin);
    #[cfg(feature = "memory")]
    let builtin = memory::add(builtin);
    #[cfg(feature = "static")]
    let builtin = static_users::add(builtin);
    builtin
}
