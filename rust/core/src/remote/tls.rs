//! Whom encrypted connections trust.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore, crypto};

/// Trusts the authorities of this file (PEM); of the system where it is empty. `SSL_CERT_FILE` and `SSL_CERT_DIR` name
/// other ones than the system's.
///
/// Errors: there is none, or the file cannot be read.
pub fn config(authorities: &str) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    if authorities.is_empty() {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            return Err("this machine has no certificates of authorities; name a file with some in the setting \
                        `remote_ca`, or in SSL_CERT_FILE"
                .to_owned());
        }
    } else {
        let bad = |what: &dyn std::fmt::Display| format!("{authorities} (remote_ca): {what}");
        let read = CertificateDer::pem_file_iter(Path::new(authorities)).map_err(|error| bad(&error))?;
        for certificate in read {
            let certificate = certificate.map_err(|error| bad(&error))?;
            roots.add(certificate).map_err(|error| bad(&error))?;
        }
        if roots.is_empty() {
            return Err(bad(&"it holds no certificate; PEM is wanted"));
        }
    }
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}
