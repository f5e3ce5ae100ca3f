//! What a process proves itself with, read from a directory and checked before use.
//!
//! Everything that peers would refuse is refused here first, where the file can be named.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{CertificateError, ClientConfig, Error, RootCertStore, ServerConfig};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::ca::{ca_pem, certificate_path, check_name, key_path};
use super::{ALPN, Identity, Role, TlsError, provider};

/// The authority of the cluster, and one certificate with its key.
#[derive(Debug)]
pub struct TlsFiles {
    identity: Identity,
    roots: Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl TlsFiles {
    /// Reads `ca.pem` and the certificate for `role` from `dir`: the one called `name`, or the only
    /// one there is.
    ///
    /// # Errors
    /// When something is missing, unreadable, of another role or authority, or out of its time.
    pub fn load(dir: &Path, role: Role, name: Option<&str>) -> Result<Self, TlsError> {
        let name = match name {
            Some(name) => {
                check_name(name)?;
                name.to_owned()
            }
            None => Self::only_name(dir, role)?,
        };
        let files = Self::read(dir, &name)?;
        let path = certificate_path(dir, &name);
        files.check(dir, &path, &name)?;
        if files.identity.role != role {
            return Err(TlsError::WrongRole { path, wanted: role, found: files.identity.role });
        }
        Ok(files)
    }

    /// Whom the certificate names.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// For taking connections: only from holders of a certificate of the same authority.
    ///
    /// # Errors
    /// When TLS cannot use the key.
    pub fn server(&self) -> Result<ServerConfig, TlsError> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(unusable)?
            .with_client_cert_verifier(self.verifier()?)
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .map_err(unusable)?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        // A resumed session would skip the check of the certificate's time.
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    /// For calling nodes: only those with a node certificate of the same authority.
    ///
    /// # Errors
    /// When TLS cannot use the key.
    pub fn client(&self) -> Result<ClientConfig, TlsError> {
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(unusable)?
            .with_root_certificates(Arc::clone(&self.roots))
            .with_client_auth_cert(self.chain.clone(), self.key.clone_key())
            .map_err(unusable)?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    /// Reads without checking more than that PEM is PEM: tests want files that are bad.
    pub(crate) fn read(dir: &Path, name: &str) -> Result<Self, TlsError> {
        let ca = read_certificate(
            &ca_pem(dir),
            "authority",
            "copy ca.pem from where `umbel ca init DIR` was run",
        )?;
        let mut roots = RootCertStore::empty();
        roots.add(ca).map_err(|_| TlsError::NotPem { path: ca_pem(dir), what: "certificate" })?;
        let path = certificate_path(dir, name);
        const TODO: &str = "issue one with `umbel ca issue NAME --dir DIR` and copy NAME.pem and \
                            NAME.key here";
        let certificate = read_certificate(&path, "certificate", TODO)?;
        let key = key_path(dir, name);
        let key_pem = read_file(&key, "private key", TODO)?;
        let key = PrivateKeyDer::from_pem_slice(&key_pem)
            .map_err(|_| TlsError::NotPem { path: key, what: "private key" })?;
        let identity = Identity::of(&certificate).ok_or(TlsError::NotUmbel { path })?;
        Ok(Self { identity, roots: Arc::new(roots), chain: vec![certificate], key })
    }

    /// Names of the certificates for `role` in `dir`, whatever their state.
    pub(super) fn names(dir: &Path, role: Role) -> Result<Vec<String>, TlsError> {
        let listing = match fs::read_dir(dir) {
            Ok(listing) => listing,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(TlsError::io("list", dir)(source)),
        };
        let mut names = Vec::new();
        for entry in listing {
            let path = entry.map_err(TlsError::io("list", dir))?.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            if path.extension().is_none_or(|extension| extension != "pem")
                || check_name(stem).is_err()
            {
                continue;
            }
            let Ok(certificate) = CertificateDer::from_pem_file(&path) else { continue };
            if Identity::of(&certificate).is_some_and(|identity| identity.role == role) {
                names.push(stem.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    fn only_name(dir: &Path, role: Role) -> Result<String, TlsError> {
        let mut names = Self::names(dir, role)?;
        if names.len() > 1 {
            return Err(TlsError::Ambiguous { dir: dir.to_owned(), role, names });
        }
        names.pop().ok_or_else(|| {
            let (what, todo) = match role {
                Role::Client => (
                    "client certificate",
                    "issue one with `umbel ca issue NAME --dir DIR --client` and copy ca.pem, \
                     NAME.pem and NAME.key here",
                ),
                Role::Node => (
                    "node certificate",
                    "issue one with `umbel ca issue NAME --dir DIR` and copy ca.pem, NAME.pem and \
                     NAME.key here",
                ),
            };
            TlsError::Missing { what, path: dir.to_owned(), todo }
        })
    }

    /// What peers would check, with the names of the files.
    fn check(&self, dir: &Path, path: &Path, name: &str) -> Result<(), TlsError> {
        let certificate = &self.chain[0];
        match CertifiedKey::from_der(self.chain.clone(), self.key.clone_key(), &provider()) {
            Ok(_) => {}
            Err(Error::InconsistentKeys(_)) => {
                return Err(TlsError::KeyMismatch {
                    key: key_path(dir, name),
                    certificate: path.to_owned(),
                });
            }
            Err(_) => {
                return Err(TlsError::NotPem { path: key_path(dir, name), what: "private key" });
            }
        }
        let not_umbel = || TlsError::NotUmbel { path: path.to_owned() };
        let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| not_umbel())?;
        let time = |time: x509_parser::time::ASN1Time| {
            jiff::Timestamp::from_second(time.timestamp()).map_err(|_| not_umbel())
        };
        let (not_before, not_after) =
            (time(parsed.validity().not_before)?, time(parsed.validity().not_after)?);
        let wrong_ca = || TlsError::WrongCa { certificate: path.to_owned(), ca: ca_pem(dir) };
        match self.verifier()?.verify_client_cert(certificate, &[], UnixTime::now()) {
            Ok(_) => Ok(()),
            Err(Error::InvalidCertificate(error)) => Err(match error {
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                    TlsError::Expired {
                        path: path.to_owned(),
                        name: name.to_owned(),
                        role: self.identity.role,
                        not_after,
                    }
                }
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                    TlsError::NotYetValid { path: path.to_owned(), not_before }
                }
                CertificateError::UnknownIssuer | CertificateError::BadSignature => wrong_ca(),
                other => TlsError::Unusable { path: path.to_owned(), why: other.to_string() },
            }),
            Err(other) => Err(TlsError::Unusable { path: path.to_owned(), why: other.to_string() }),
        }
    }

    fn verifier(&self) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        WebPkiClientVerifier::builder_with_provider(Arc::clone(&self.roots), provider())
            .build()
            .map_err(|error| TlsError::Make { why: error.to_string() })
    }
}

fn read_file(path: &Path, what: &'static str, todo: &'static str) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => TlsError::Missing { what, path: path.to_owned(), todo },
        _ => TlsError::io("read", path)(source),
    })
}

fn read_certificate(
    path: &Path,
    what: &'static str,
    todo: &'static str,
) -> Result<CertificateDer<'static>, TlsError> {
    let pem = read_file(path, what, todo)?;
    CertificateDer::from_pem_slice(&pem)
        .map_err(|_| TlsError::NotPem { path: path.to_owned(), what: "certificate" })
}

fn unusable(error: Error) -> TlsError {
    TlsError::Make { why: error.to_string() }
}
