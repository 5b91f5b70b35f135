//! The wire scripts of the kit that belong to these extensions.

use std::sync::Arc;

use imapper_core::session::{Namespace, NamespaceKind};
use imapper_core::{Server, TlsMode};
use imapper_extensions::{Entry, Options, all, find};
use imapper_storage_memory::{Fixture, Memory, NamespaceKind as Kind};
use imapper_testkit::{BoxFuture, Connect, NoServer, Setup, Stream, run_scripts, scripts};
use imapper_users_static::Static;

use crate::client::certificate;

/// Servers with the extensions of this crate.
struct Kit;

impl imapper_testkit::Server for Kit {
    fn start<'a>(&'a self, setup: &'a Setup) -> BoxFuture<'a, Result<Box<dyn Connect>, NoServer>> {
        Box::pin(async move { build(setup).map(|server| Box::new(Running(server)) as Box<dyn Connect>) })
    }
}

struct Running(Server);

impl Connect for Running {
    fn connect(&self) -> BoxFuture<'_, std::io::Result<Box<dyn Stream>>> {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let server = self.0.clone();
        tokio::spawn(async move { server.serve(theirs, None, TlsMode::StartTls).await });
        Box::pin(async move { Ok(Box::new(ours) as Box<dyn Stream>) })
    }
}

/// What a script asks for: exactly the named extensions, or the standard ones with and without some.
fn chosen(setup: &Setup) -> Result<Vec<Entry>, NoServer> {
    let look_up =
        |name: &String| find(name).ok_or_else(|| NoServer::Unsupported(format!("{name} is not here")));
    if let Some(names) = &setup.plugins {
        return names.iter().map(look_up).collect();
    }
    let mut entries: Vec<Entry> = all().into_iter().filter(|entry| entry.standard).collect();
    entries.retain(|entry| !setup.without.iter().any(|name| name.eq_ignore_ascii_case(entry.name)));
    for name in &setup.needs {
        let entry = look_up(name)?;
        if !entries.iter().any(|other| other.name == entry.name) {
            entries.push(entry);
        }
    }
    Ok(entries)
}

fn build(setup: &Setup) -> Result<Server, NoServer> {
    if !setup.limits.is_empty() {
        return Err(NoServer::Unsupported("limits are set by imapper-bin".to_owned()));
    }
    let failed = |error: &dyn std::fmt::Display| NoServer::Failed(error.to_string());
    let fixture = Fixture::from_json(&setup.fixture).map_err(|error| failed(&error))?;
    let namespaces: Vec<Namespace> = fixture
        .namespaces()
        .iter()
        .map(|from| {
            let kind = match from.kind {
                Kind::Personal => NamespaceKind::Personal,
                Kind::OtherUsers => NamespaceKind::OtherUsers,
                Kind::Shared => NamespaceKind::Shared,
            };
            let mut namespace = Namespace::new(kind, from.prefix.clone(), from.separator);
            namespace.accounts.clone_from(&from.accounts);
            namespace
        })
        .collect();
    let mut users = Static::builder();
    for (name, password) in &setup.users {
        users = users.plain_password(name, password).map_err(|error| failed(&error))?;
    }
    for (name, token) in &setup.tokens {
        users = users.token(name, token).map_err(|error| failed(&error))?;
    }
    let options = Options::new(setup.plugins.is_some());
    Server::builder()
        .storage(Arc::new(Memory::from_fixture(fixture)))
        .users(Arc::new(users.build()))
        .namespaces(namespaces)
        .extensions(chosen(setup)?.iter().map(|entry| entry.extension(&options)))
        .tls(Arc::new(certificate().0))
        .build()
        .map_err(|error| failed(&error))
}

/// Plays a folder's scripts. None may be skipped: whatever they need is in this crate.
async fn play(folder: &str) {
    let all = scripts().unwrap();
    let of_folder: Vec<_> = all.into_iter().filter(|script| script.folder() == folder).collect();
    let report = run_scripts(&of_folder, &Kit).await;
    assert!(report.failures.is_empty() && report.skipped.is_empty() && !report.passed.is_empty(), "{report}");
}

macro_rules! folders {
    ($($folder:ident)*) => {
        $(
            #[tokio::test]
            async fn $folder() {
                play(imapper_testkit::folder_of(stringify!($folder))).await;
            }
        )*
    };
}

folders! {
    auth_plain children condstore enable id idle literal logindisabled r#move namespace qresync quota sasl_ir special_use
    starttls uidplus unselect x_faults x_gm_ext_1 xoauth2 xtoybird
}
