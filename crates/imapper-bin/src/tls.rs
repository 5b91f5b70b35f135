//! Certificates: read from PEM files, made where there is none, read anew while the server runs.

pub(crate) mod made;
mod validity;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Why a certificate can't be used: one line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TlsError(String);

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The cryptography, named wherever it is used: with two of them in a build, rustls would not choose.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Makes the provider the process's own, for plugins that speak TLS themselves. The first call counts.
pub(crate) fn install_provider() {
    // An error says that a library user has installed one before.
    let _ = aws_lc_rs::default_provider().install_default();
}

/// The server's certificate, which can be exchanged while the server runs.
pub(crate) struct Certificate {
    /// Certificate and key; `None` for a certificate that was made here.
    files: Option<(PathBuf, PathBuf)>,
    current: Arc<Current>,
}

/// What handshakes take their certificate from.
#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl Certificate {
    /// The certificate of those files.
    pub(crate) fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let loaded = read(certificate, key)?;
        let files = Some((certificate.to_owned(), key.to_owned()));
        Ok(Self { files, current: Arc::new(Current(ArcSwap::from_pointee(loaded))) })
    }

    /// One that is made here and kept in memory, for those names.
    pub(crate) fn self_signed(names: Vec<String>) -> Result<Self, TlsError> {
        let failed = |error: &dyn fmt::Display| TlsError(format!("no certificate can be made: {error}"));
        let made = rcgen::generate_simple_self_signed(names).map_err(|error| failed(&error))?;
        let key =
            PrivateKeyDer::try_from(made.signing_key.serialize_der()).map_err(|error| failed(&error))?;
        let loaded = CertifiedKey::from_der(vec![made.cert.der().clone()], key, &provider());
        let loaded = loaded.map_err(|error| failed(&error))?;
        Ok(Self { files: None, current: Arc::new(Current(ArcSwap::from_pointee(loaded))) })
    }

    /// What a listener works with.
    pub(crate) fn server_config(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError(error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&self.current) as Arc<dyn ResolvesServerCert>);
        Ok(Arc::new(config))
    }

    /// Reads the files anew. If they are broken, the certificate stays as it is. `false` if there are none.
    pub(crate) fn reload(&self) -> Result<bool, TlsError> {
        let Some((certificate, key)) = &self.files else { return Ok(false) };
        self.current.0.store(Arc::new(read(certificate, key)?));
        Ok(true)
    }

    /// What is odd about the certificate, though it can be served: it has expired, or is not valid yet.
    pub(crate) fn warning(&self) -> Option<String> {
        let current = self.current.0.load();
        let (from, until) = validity::of(current.cert.first()?)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
        let now = i64::try_from(now).ok()?;
        if now > until {
            Some(format!("the certificate has expired, on {}", validity::day(until)))
        } else if now < from {
            Some(format!("the certificate is not valid yet, before {}", validity::day(from)))
        } else {
            None
        }
    }
}

/// Reads a certificate with its chain, and the key, which must be that of the certificate.
fn read(certificate: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let wrong = |path: &Path, what: &dyn fmt::Display| TlsError(format!("{}: {what}", path.display()));
    let text = |path: &Path| std::fs::read(path).map_err(|error| wrong(path, &error));
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&text(certificate)?)
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(certificate, &error))?;
    if chain.is_empty() {
        return Err(wrong(certificate, &"there is no PEM certificate in it"));
    }
    let private = PrivateKeyDer::from_pem_slice(&text(key)?).map_err(|error| match error {
        rustls_pki_types::pem::Error::NoItemsFound => wrong(key, &"there is no PEM private key in it"),
        error => wrong(key, &error),
    })?;
    CertifiedKey::from_der(chain, private, &provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            wrong(key, &format!("the key is not that of {}", certificate.display()))
        }
        error => wrong(certificate, &error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with a certificate, its key, and a key of another.
    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("imapper-tls-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        let other = rcgen::KeyPair::generate().unwrap();
        std::fs::write(folder.join("other.pem"), other.serialize_pem()).unwrap();
        std::fs::write(folder.join("rubbish.pem"), "rubbish").unwrap();
        folder
    }

    #[test]
    fn a_certificate_is_read_with_its_own_key_only() {
        let folder = folder("read");
        let load = |certificate: &str, key: &str| {
            let loaded = Certificate::load(&folder.join(certificate), &folder.join(key));
            loaded.map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(load("cert.pem", "key.pem"), Ok(()));
        assert!(load("cert.pem", "other.pem").unwrap_err().contains("other.pem: the key is not that of"));
        assert!(
            load("rubbish.pem", "key.pem")
                .unwrap_err()
                .ends_with("rubbish.pem: there is no PEM certificate in it")
        );
        assert!(
            load("cert.pem", "rubbish.pem")
                .unwrap_err()
                .ends_with("rubbish.pem: there is no PEM private key in it")
        );
        assert!(load("none.pem", "key.pem").unwrap_err().contains("none.pem: No such file"));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_broken_new_certificate_leaves_the_old_one() {
        let folder = folder("reload");
        let certificate = Certificate::load(&folder.join("cert.pem"), &folder.join("key.pem")).unwrap();
        let shown = || certificate.current.0.load().cert.clone();
        let first = shown();
        std::fs::write(folder.join("cert.pem"), "rubbish").unwrap();
        assert!(certificate.reload().is_err());
        assert_eq!(shown(), first);
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        assert_eq!(certificate.reload(), Ok(true));
        assert_eq!(shown(), [made.cert.der().clone()]);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn one_made_here_serves_and_has_no_files() {
        let certificate = Certificate::self_signed(vec!["localhost".to_owned()]).unwrap();
        assert!(certificate.server_config().is_ok());
        assert_eq!(certificate.reload(), Ok(false));
        assert_eq!(certificate.warning(), None);
    }

    #[test]
    fn an_expired_certificate_is_told() {
        let mut parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        parameters.not_before = rcgen::date_time_ymd(2019, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(2020, 2, 29);
        let key = rcgen::KeyPair::generate().unwrap();
        let folder = folder("expired");
        std::fs::write(folder.join("cert.pem"), parameters.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
        let certificate = Certificate::load(&folder.join("cert.pem"), &folder.join("key.pem")).unwrap();
        assert_eq!(certificate.warning().unwrap(), "the certificate has expired, on 2020-02-29");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
