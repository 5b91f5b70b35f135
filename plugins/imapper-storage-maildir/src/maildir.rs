//! The storage: where accounts lie, and those that are open.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use imapper_core::storage::{AccountId, Result, StorageError};
use tokio::runtime::Handle;
use tokio::sync::OnceCell;

use crate::account::{Account, Parts};
use crate::disk::{Disk, RealDisk};
use crate::format::folder;
use crate::paths::{accounts, fixed, place};
use crate::quota::Allowed;
use crate::staged::Staging;
use crate::watching::Watching;

/// How folders of mailboxes lie in the account's folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// Maildir++: side by side, `.Folder.Sub`. What Dovecot and Courier do by default.
    #[default]
    MaildirPlusPlus,
    /// In each other, `Folder/Sub`: Dovecot's `LAYOUT=fs`.
    Fs,
}

impl From<Layout> for folder::Layout {
    fn from(layout: Layout) -> Self {
        match layout {
            Layout::MaildirPlusPlus => Self::MaildirPlusPlus,
            Layout::Fs => Self::Fs,
        }
    }
}

/// Why a storage can't be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The path names no account, or all the same one.
    #[error(
        "the path {0:?} needs {{user}}, {{local}} or {{domain}} in it, and each of them as a whole or a part of a name"
    )]
    Path(PathBuf),
    /// The fixed part of the path can't be made or opened.
    #[error("{0}: {1}")]
    Folder(PathBuf, #[source] io::Error),
}

/// How a storage is opened.
#[derive(Clone, Debug)]
pub struct Builder {
    path: PathBuf,
    layout: Layout,
    index_dir: Option<PathBuf>,
    durable: bool,
    watches: bool,
    shared: Vec<AccountId>,
    max_message: Option<u64>,
    max_staged: u64,
}

impl Builder {
    /// How folders lie.
    #[must_use]
    pub const fn layout(mut self, layout: Layout) -> Self {
        self.layout = layout;
        self
    }

    /// Where indexes lie, if not beside the mail: on a faster disk, or not on NFS. A folder for each account is made in
    /// it.
    #[must_use]
    pub fn index_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.index_dir = Some(path.into());
        self
    }

    /// Whether anything is synced to the disk. Without it, an OK means nothing when the power fails: for tests only.
    #[must_use]
    pub const fn durable(mut self, durable: bool) -> Self {
        self.durable = durable;
        self
    }

    /// Accounts that own shared trees: they have no INBOX of their own.
    #[must_use]
    pub fn shared(mut self, accounts: impl IntoIterator<Item = AccountId>) -> Self {
        self.shared.extend(accounts);
        self
    }

    /// The largest message, in octets. By default there is no bound but the server's.
    #[must_use]
    pub const fn max_message(mut self, octets: u64) -> Self {
        self.max_message = Some(octets);
        self
    }

    /// How many octets of bodies may be on their way in at once. By default 1 GiB.
    #[must_use]
    pub const fn max_staged(mut self, octets: u64) -> Self {
        self.max_staged = octets;
        self
    }

    /// Opens the storage. Has to be called within a runtime of tokio.
    pub fn open(self) -> std::result::Result<Maildir, OpenError> {
        let fixed = fixed(&self.path).ok_or_else(|| OpenError::Path(self.path.clone()))?;
        let make = |path: &Path| {
            make_folders(path, self.durable).map_err(|error| OpenError::Folder(path.to_owned(), error))
        };
        make(&fixed)?;
        self.index_dir.as_deref().map_or(Ok(()), make)?;
        let watching = self.watches.then(Watching::start);
        Ok(Maildir {
            staging: Arc::new(Staging::new(self.max_staged)),
            builder: self,
            watching,
            runtime: Handle::current(),
            allowed: Arc::default(),
            accounts: Mutex::default(),
        })
    }
}

type Opened = Arc<OnceCell<Arc<Account>>>;

/// How many accounts are open until those are closed that nobody uses.
const MANY: usize = 256;

/// Closes the accounts that nobody uses.
fn forget_idle(accounts: &mut HashMap<AccountId, Opened>) {
    accounts.retain(|_, cell| {
        Arc::strong_count(cell) > 1 || cell.get().is_some_and(|it| Arc::strong_count(it) > 1)
    });
}

/// Mail in Maildir folders.
pub struct Maildir {
    builder: Builder,
    watching: Option<Arc<Watching>>,
    runtime: Handle,
    pub(crate) allowed: Arc<Allowed>,
    pub(crate) staging: Arc<Staging>,
    accounts: Mutex<HashMap<AccountId, Opened>>,
}

impl fmt::Debug for Maildir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Maildir").field("path", &self.builder.path).finish_non_exhaustive()
    }
}

impl Maildir {
    /// Mail of each account in the folder that the path names: `{user}` stands for the account, `{local}` and
    /// `{domain}` for what is before and behind its last `@`.
    pub fn builder(path: impl Into<PathBuf>) -> Builder {
        Builder {
            path: path.into(),
            layout: Layout::default(),
            index_dir: None,
            durable: true,
            watches: true,
            shared: Vec::new(),
            max_message: None,
            max_staged: 1 << 30,
        }
    }

    pub(crate) const fn max_message(&self) -> Option<u64> {
        self.builder.max_message
    }

    /// The account, opened.
    pub(crate) async fn account(&self, id: &AccountId) -> Result<Arc<Account>> {
        let cell = {
            let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
            if accounts.len() >= MANY && !accounts.contains_key(id) {
                forget_idle(&mut accounts);
            }
            Arc::clone(accounts.entry(id.clone()).or_default())
        };
        if let Some(account) = cell.get() {
            return Ok(Arc::clone(account));
        }
        let (Some(path), index) = self.places(id) else {
            self.accounts.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
            return Err(StorageError::Denied);
        };
        let opening = cell.get_or_try_init(|| async {
            let account = self.open_account(id.clone(), path, index).await?;
            // A full disk, or another account that can't be opened, must not close this one: it is tried again next time.
            if let Err(error) = self.settle_moves(&account).await {
                tracing::error!(%error, account = %id, "a move to another account is not done to the end");
            }
            Ok(account)
        });
        opening.await.cloned()
    }

    /// Does moves to other accounts to the end that a crash has cut off.
    async fn settle_moves(&self, account: &Arc<Account>) -> Result<()> {
        for moving in account.moves_begun() {
            let to = AccountId::from(moving.to_account.as_str());
            let (path, index) = self.places(&to);
            // Opened once more beside the one that others may use: two that wait for each other would wait for ever.
            let arrived = match path {
                Some(path) => {
                    self.open_account(to, path, index).await?.has_arrived(&moving.to, &moving.first).await?
                }
                None => false,
            };
            account.settle_move(moving, arrived).await?;
        }
        Ok(())
    }

    /// Where an account lies, and its indexes if elsewhere.
    fn places(&self, id: &AccountId) -> (Option<PathBuf>, Option<PathBuf>) {
        let path = place(&self.builder.path, id.as_str());
        let index = self.builder.index_dir.as_deref().map(|dir| place(&dir.join("{user}"), id.as_str()));
        (path, index.flatten())
    }

    /// The accounts that have a folder, open or not.
    pub(crate) async fn accounts_on_disk(&self) -> Result<Vec<AccountId>> {
        let template = self.builder.path.clone();
        let found =
            self.runtime.spawn_blocking(move || accounts(&template)).await.map_err(StorageError::backend)?;
        Ok(found.map_err(StorageError::backend)?.into_iter().map(AccountId::from).collect())
    }

    async fn open_account(
        &self,
        id: AccountId,
        path: PathBuf,
        index: Option<PathBuf>,
    ) -> Result<Arc<Account>> {
        let durable = self.builder.durable;
        let parts = Parts {
            personal: !self.builder.shared.contains(&id),
            id,
            layout: self.builder.layout.into(),
            // Filled in below, where waiting for a disk is allowed.
            disk: None,
            index: None,
            base: Some(path.clone()),
            watching: self.watching.clone(),
            runtime: self.runtime.clone(),
            allowed: Arc::clone(&self.allowed),
        };
        let opening = self.runtime.spawn_blocking(move || {
            let disk = |path: &Path| -> io::Result<Arc<dyn Disk>> {
                make_folders(path, durable)?;
                Ok(Arc::new(RealDisk::open(path, durable)?))
            };
            let parts = (|| {
                let index = index.as_deref().map(disk).transpose()?;
                Ok(Parts { disk: Some(disk(&path)?), index, ..parts })
            })();
            Account::open(parts.map_err(|error: io::Error| StorageError::backend(error))?)
        });
        opening.await.map_err(StorageError::backend)?
    }

    /// The accounts that are open.
    pub(crate) fn opened(&self) -> Vec<(AccountId, Arc<Account>)> {
        let accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.iter().filter_map(|(id, cell)| Some((id.clone(), Arc::clone(cell.get()?)))).collect()
    }
}

/// Makes a folder and those above it, durably.
fn make_folders(path: &Path, durable: bool) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let missing: Vec<&Path> =
        path.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
    for folder in missing.into_iter().rev() {
        match std::fs::DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
        let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
        if durable {
            std::fs::File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
        }
    }
    Ok(())
}
