//! A self-signed certificate that is kept in files, and what clients show of a certificate.

use std::fmt::Write as _;
use std::path::Path;

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair};
use rustls::crypto::hash::HashAlgorithm;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::{TlsError, provider};

/// A new private key, as PEM.
pub(crate) fn new_key() -> Result<String, TlsError> {
    Ok(KeyPair::generate().map_err(|error| failed(&error))?.serialize_pem())
}

/// A certificate that is signed by its own key, for those names, as PEM.
pub(crate) fn certify(key: &str, names: Vec<String>) -> Result<String, TlsError> {
    let key = KeyPair::from_pem(key).map_err(|error| failed(&error))?;
    let mut parameters = CertificateParams::new(names).map_err(|error| failed(&error))?;
    parameters.distinguished_name.push(DnType::CommonName, "imapper quickstart");
    parameters.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    Ok(parameters.self_signed(&key).map_err(|error| failed(&error))?.pem())
}

/// The SHA-256 of the first certificate in a file, as clients show it: `AB:CD:…`.
pub(crate) fn fingerprint(path: &Path) -> Result<String, TlsError> {
    let wrong = |what: &dyn std::fmt::Display| TlsError(format!("{}: {what}", path.display()));
    let certificate = CertificateDer::from_pem_file(path).map_err(|error| wrong(&error))?;
    let provider = provider();
    let mut hashes = provider
        .cipher_suites
        .iter()
        .filter_map(rustls::SupportedCipherSuite::tls13)
        .map(|suite| suite.common.hash_provider);
    let sha256 = hashes.find(|hash| hash.algorithm() == HashAlgorithm::SHA256);
    let sha256 = sha256.ok_or_else(|| wrong(&"there is no SHA-256"))?;
    let mut shown = String::new();
    for octet in sha256.hash(&certificate).as_ref() {
        let colon = if shown.is_empty() { "" } else { ":" };
        let _ = write!(shown, "{colon}{octet:02X}");
    }
    Ok(shown)
}

fn failed(error: &rcgen::Error) -> TlsError {
    TlsError(format!("no certificate can be made: {error}"))
}
