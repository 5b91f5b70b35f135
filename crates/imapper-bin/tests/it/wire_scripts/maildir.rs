//! All wire scripts, with the mail of each in a Maildir of its own.

use std::collections::BTreeSet;
use std::sync::Arc;

use imapper_bin::{OpenedStorage, PluginConfig, PluginError, builtin};
use imapper_core::session::{Namespace, NamespaceKind as Kind};
use imapper_core::storage::AccountId;
use imapper_storage_maildir::{Layout, Maildir};
use imapper_storage_memory::{Fixture, FixtureNamespace, Memory, NamespaceKind};
use imapper_testkit::layer::{Layer, Layered};
use imapper_testkit::{BoxFuture, Connect, NoServer, Outcome, Script, Setup, run_script, script_tests};
use serde_json::{Value, json};

use super::{configuration, start};
use crate::program::Folder;

mod carry;

/// What a Maildir can not do, by the word of `needs-storage:`, and why.
const CANNOT: &[(&str, &str)] = &[
    ("dump", "it is files that anybody can read, and no dump is made of it"),
    (
        "fixed-keywords",
        "its keywords are files that other programs share, and none can say that no more may come",
    ),
];

/// The scripts that are not played for that.
const LEFT_OUT: &[(&str, &str)] = &[
    ("rfc3501/store-no-keywords", "fixed-keywords"),
    ("x_gm_ext_1/dump", "dump"),
    ("xtoybird/modseq", "dump"),
    ("xtoybird/storage", "dump"),
];

/// Starts a server for each script, on a Maildir.
struct Kit(Layout);

impl imapper_testkit::Server for Kit {
    fn start<'a>(&'a self, setup: &'a Setup) -> BoxFuture<'a, Result<Box<dyn Connect>, NoServer>> {
        Box::pin(async move {
            let mut needed = setup.needs_storage.iter();
            if let Some((_, why)) = needed.find_map(|needed| CANNOT.iter().find(|(word, _)| word == needed)) {
                return Err(NoServer::Unsupported((*why).to_owned()));
            }
            let fixture = Fixture::from_json(&setup.fixture);
            let fixture = fixture.map_err(|error| NoServer::Failed(error.to_string()))?;
            let mut configuration = configuration(setup, &json!({ "plugin": "maildir" }));
            if let Some(namespaces) = told(fixture.namespaces()) {
                configuration["namespace"] = namespaces;
            }
            let users: Vec<AccountId> =
                setup.users.iter().map(|(name, _)| AccountId::from(name.as_str())).collect();
            let layout = self.0;
            let builtin = builtin()
                .storage("maildir", move |config| open(config, layout, fixture.clone(), users.clone()));
            start(builtin, &configuration).await
        })
    }
}

/// The Maildir, with the mail of the fixture in it.
async fn open(
    config: PluginConfig,
    layout: Layout,
    fixture: Fixture,
    users: Vec<AccountId>,
) -> Result<OpenedStorage, PluginError> {
    let spaces = fixture.namespaces().to_vec();
    let shared: Vec<AccountId> = fixture.shared_accounts().cloned().collect();
    let owners = spaces.iter().flat_map(|space| &space.accounts).cloned();
    let accounts: BTreeSet<AccountId> = owners.chain(users).collect();
    let from = Memory::from_fixture(fixture);
    let folder = Folder::new();
    let to = Maildir::builder(folder.path().join("{user}")).layout(layout).shared(shared);
    let to = to.max_message(config.append_limit()).durable(false).open()?;
    for account in &accounts {
        carry::carry(&from, &to, account).await?;
    }
    let opened = OpenedStorage::from(Layered(InFolder { maildir: Arc::new(to), _folder: folder }));
    let brought = told(&spaces).is_none();
    Ok(if brought { opened.with_namespaces(spaces.iter().map(namespace).collect()) } else { opened })
}

/// A Maildir in a folder that goes after it: nobody looks at it any more then.
struct InFolder {
    maildir: Arc<Maildir>,
    _folder: Folder,
}

impl Layer for InFolder {
    type Below = Maildir;

    fn below(&self) -> &Arc<Maildir> {
        &self.maildir
    }
}

/// The namespaces as `[[namespace]]`; `None` if that can't say them: it knows two separators, and nobody's mailboxes
/// are open to all.
fn told(spaces: &[FixtureNamespace]) -> Option<Value> {
    let tables = spaces.iter().map(|space| {
        let Namespace { prefix, separator, .. } = namespace(space);
        let mut table = json!({ "prefix": prefix, "separator": separator.to_string() });
        table["type"] = match space.kind {
            NamespaceKind::Personal => "personal",
            NamespaceKind::OtherUsers if space.accounts.is_empty() => "other-users",
            NamespaceKind::OtherUsers => return None,
            NamespaceKind::Shared => "shared",
        }
        .into();
        if space.kind == NamespaceKind::Shared {
            table["account"] = space.accounts.first()?.as_str().into();
        }
        ['/', '.'].contains(&separator).then_some(table)
    });
    tables.collect()
}

/// A namespace, its prefix with the separator at its end.
fn namespace(of: &FixtureNamespace) -> Namespace {
    let kind = match of.kind {
        NamespaceKind::Personal => Kind::Personal,
        NamespaceKind::OtherUsers => Kind::OtherUsers,
        NamespaceKind::Shared => Kind::Shared,
    };
    let mut prefix = of.prefix.clone();
    if !prefix.is_empty() && !prefix.ends_with(of.separator) {
        prefix.push(of.separator);
    }
    let mut namespace = Namespace::new(kind, prefix, of.separator);
    namespace.accounts.clone_from(&of.accounts);
    namespace
}

script_tests!(Kit(Layout::MaildirPlusPlus));

mod fs {
    use super::*;
    script_tests!(Kit(Layout::Fs));
}

/// A script that says that it needs more than every storage has is looked at by somebody.
#[test]
fn what_is_left_out_is_named() {
    let all = imapper_testkit::scripts().unwrap();
    let cannot = |word: &String| CANNOT.iter().any(|(known, _)| known == word);
    let found: Vec<(String, String)> = all
        .iter()
        .filter_map(|script| {
            let word = script.setup.needs_storage.iter().find(|word| cannot(word))?;
            Some((script.name.clone(), word.clone()))
        })
        .collect();
    let found: Vec<(&str, &str)> = found.iter().map(|(name, word)| (&**name, &**word)).collect();
    assert_eq!(found, LEFT_OUT);
}

#[tokio::test]
async fn that_no_dump_is_made_is_said() {
    let text = "title: There is no dump\nrfc: 3501 §6.5.1\nneeds: XTOYBIRD\n\n\
                C: a1 XTOYBIRD STORAGE\nS: a1 NO [CANNOT]\n";
    let script = Script::parse("maildir/no-dump", text, |_| None).unwrap();
    assert_eq!(run_script(&script, &Kit(Layout::Fs)).await, Ok(Outcome::Passed));
}
