//! The parts of a server, opened as the configuration says. All that is wrong is told at once.

use std::sync::Arc;

use imapper_core::TlsMode;
use imapper_core::registry::Extension;
use imapper_core::session::{Namespace, Traffic};
use imapper_core::storage::QuotaLimits;

use crate::builtin::{Builtin, OpenedStorage};
use crate::config::{Address, Config, Problem};
use crate::error::Failure;
use crate::extensions;
use crate::tls::Certificate;
use crate::users::Reloadable;

/// What a server is made of.
pub(crate) struct Parts {
    pub(crate) storage: Arc<dyn imapper_core::storage::Storage>,
    pub(crate) users: Arc<Reloadable>,
    pub(crate) namespaces: Vec<Namespace>,
    pub(crate) extensions: Vec<Box<dyn Extension>>,
    /// Where a listener uses TLS.
    pub(crate) certificate: Option<Arc<Certificate>>,
    /// What is odd, though it can be served.
    pub(crate) warnings: Vec<String>,
    /// What is good to know: extensions that were turned off along with others.
    pub(crate) notes: Vec<String>,
}

impl Parts {
    /// Opens all of them.
    pub(crate) async fn open(builtin: &Builtin, config: &Config) -> Result<Self, Failure> {
        let mut problems = Vec::new();
        let mut warnings = Vec::new();
        let certificate =
            open_certificate(config, &mut warnings).map_err(|problem| problems.push(problem)).ok();
        let selection = extensions::select(&builtin.known_extensions(), &config.protocol)
            .map_err(|found| problems.extend(found))
            .unwrap_or_default();
        let options = extension_options(config).map_err(|problem| problems.push(problem)).unwrap_or_default();
        let storage = open_storage(builtin, config).await;
        let storage = storage.map_err(|found| problems.extend(found)).ok();
        let enforces = storage.as_ref().is_none_or(|opened| opened.storage.as_quota().is_some());
        if config.quota != QuotaLimits::NONE && !enforces {
            let what =
                format!("storage plugin {:?} can't enforce [quota]: take it out", config.storage.plugin());
            problems.push(config.storage.problem(what));
        }
        let users = builtin.open_users(&config.users).await.map_err(|found| problems.extend(found)).ok();
        let (Some(storage), Some(users), Some(certificate), true) =
            (storage, users, certificate, problems.is_empty())
        else {
            return Err(problems.into());
        };
        Ok(Self {
            storage: storage.storage,
            users: Arc::new(Reloadable::new(users)),
            namespaces: storage.namespaces.unwrap_or_else(|| config.namespaces.clone()),
            extensions: builtin.make_extensions(&selection.on, &options),
            certificate,
            warnings,
            notes: selection.notes,
        })
    }

    /// Puts the server together. Nothing listens yet.
    pub(crate) fn build(self, config: &Config) -> Result<imapper_core::Server, Failure> {
        let wrong = |what: String| Failure::Configuration(vec![what]);
        let mut builder = imapper_core::Server::builder()
            .storage(self.storage)
            .users(self.users)
            .namespaces(self.namespaces)
            .extensions(self.extensions)
            .allowance(config.quota)
            .limits(config.limits.core.clone());
        if let Some(certificate) = &self.certificate {
            builder = builder.tls(certificate.server_config().map_err(|error| wrong(error.to_string()))?);
        }
        if config.debug {
            builder = builder.traffic(traffic());
        }
        for listener in &config.listeners {
            let address = listener.address.resolve();
            let address =
                address.map_err(|error| wrong(format!("listener {}: {error}", listener.address)))?;
            builder = builder.listen(address, listener.tls);
        }
        builder.build().map_err(|error| wrong(error.to_string()))
    }

    /// The names of the extensions that are on.
    pub(crate) fn extension_names(&self) -> Vec<&'static str> {
        self.extensions.iter().map(|extension| extension.name()).collect()
    }
}

/// Opens the storage.
pub(crate) async fn open_storage(builtin: &Builtin, config: &Config) -> Result<OpenedStorage, Vec<Problem>> {
    let storage = config.storage.clone().with_shared_accounts(shared_accounts(config));
    builtin.open_storage(&storage.with_append_limit(config.limits.core.append)).await
}

/// The accounts that own shared trees.
pub(crate) fn shared_accounts(config: &Config) -> Vec<String> {
    let accounts = config.namespaces.iter().flat_map(|namespace| &namespace.accounts);
    accounts.map(ToString::to_string).collect()
}

/// Writes the traffic to the console; the server has masked what is secret.
fn traffic() -> Traffic {
    Arc::new(|connection, direction, line| {
        crate::command::print(&format!("{connection} {direction}: {line}"));
    })
}

/// What `[protocol]` tells the extensions.
fn extension_options(config: &Config) -> Result<imapper_extensions::Options, Problem> {
    let mut options = imapper_extensions::Options::new(config.protocol.plugins.is_some())
        .id_limits(config.limits.id)
        .xtoybird_remote(config.protocol.xtoybird_remote);
    if let Some(uses) = config.protocol.special_use.clone() {
        options = options.special_use(uses);
    }
    let Some(fields) = config.protocol.id.clone() else { return Ok(options) };
    let fields = imapper_extensions::IdFields::new(fields);
    fields.map(|fields| options.id(fields)).map_err(|error| Problem::new(format!("[protocol] `id`: {error}")))
}

/// The certificate, where a listener needs one.
fn open_certificate(
    config: &Config,
    warnings: &mut Vec<String>,
) -> Result<Option<Arc<Certificate>>, Problem> {
    let needs = config.listeners.iter().any(|listener| listener.tls != TlsMode::None);
    let certificate = match &config.tls {
        Some((certificate, key)) => Certificate::load(certificate, key),
        None if !needs => return Ok(None),
        None => {
            warnings.push(
                "no certificate is configured: a self-signed one is used, which no client trusts, and which is gone \
                 when the server stops ([tls] names one)"
                    .to_owned(),
            );
            Certificate::self_signed(names(config))
        }
    };
    let certificate = certificate.map_err(|error| Problem::new(format!("[tls] {error}")))?;
    warnings.extend(certificate.warning());
    Ok(Some(Arc::new(certificate)))
}

/// What a self-signed certificate is for.
fn names(config: &Config) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    for listener in &config.listeners {
        if let Address::Tcp(host, _) = &listener.address
            && !names.contains(host)
        {
            names.push(host.clone());
        }
    }
    names
}
