//! The cluster's own authority: making it, and issuing certificates.
//!
//! Keys are written before what certifies them, each file whole or not at all, so a certificate
//! that exists always has its key. Nothing that exists is ever overwritten, but a key that was left
//! alone is used: so a certificate is renewed by moving only its `.pem` away.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use super::peer::role_name;
use super::{Role, TlsError};

/// Makes an authority in `dir`: `ca.pem`, to be copied to every host, and `ca.key`, which only
/// issuing needs.
///
/// # Errors
/// When one exists already, or the directory cannot be written.
pub fn init(dir: &Path) -> Result<(), TlsError> {
    let (pem, key) = (ca_pem(dir), ca_key(dir));
    for path in [&pem, &key] {
        if path.exists() {
            return Err(TlsError::Exists { path: path.clone() });
        }
    }
    complete(dir)
}

/// Issues a certificate for `name` and writes `NAME.pem` and `NAME.key` into `dir`, which holds the
/// authority.
///
/// # Errors
/// When the name will not do, the authority is incomplete, or `NAME.pem` exists.
pub fn issue(dir: &Path, name: &str, role: Role) -> Result<(), TlsError> {
    issue_for(dir, name, role, Validity::from_now(LEAF_DAYS))
}

/// Makes whatever is missing of the authority: also of one whose making was cut short.
pub(super) fn complete(dir: &Path) -> Result<(), TlsError> {
    fs::create_dir_all(dir).map_err(TlsError::io("create directory", dir))?;
    let key = read_or_make_key(&ca_key(dir))?;
    let mut params = CertificateParams::default();
    // Verifiers find an issuer by its name: two authorities must not share one.
    let name = format!("umbel cluster {:016x}", rand::random::<u64>());
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Validity::from_now(CA_DAYS).apply(&mut params);
    let certificate = params.self_signed(&key).map_err(make)?;
    write_new(&ca_pem(dir), certificate.pem().as_bytes(), 0o644)
}

/// Issues with a given time: tests want times that are over.
pub(crate) fn issue_for(
    dir: &Path,
    name: &str,
    role: Role,
    validity: Validity,
) -> Result<(), TlsError> {
    check_name(name)?;
    let pem = certificate_path(dir, name);
    if pem.exists() {
        return Err(TlsError::Exists { path: pem });
    }
    let issuer = load_issuer(dir)?;
    let key = read_or_make_key(&key_path(dir, name))?;
    let short = role_name(role);
    let names = vec![short.to_owned(), format!("{name}.{short}")];
    let mut params = CertificateParams::new(names).map_err(make)?;
    params.distinguished_name.push(DnType::CommonName, format!("umbel {role} {name}"));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
    if role == Role::Node {
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    }
    validity.apply(&mut params);
    let certificate = params.signed_by(&key, &issuer).map_err(make)?;
    write_new(&pem, certificate.pem().as_bytes(), 0o644)
}

/// From when until when a certificate is good, in seconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Validity {
    pub(crate) not_before: u64,
    pub(crate) not_after: u64,
}

impl Validity {
    /// From a day ago, for hosts whose clocks differ, for `days`.
    pub(crate) fn from_now(days: u64) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Self { not_before: now.saturating_sub(DAY), not_after: now + days * DAY }
    }

    fn apply(self, params: &mut CertificateParams) {
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        params.not_before = epoch + Duration::from_secs(self.not_before);
        params.not_after = epoch + Duration::from_secs(self.not_after);
    }
}

pub(super) fn ca_pem(dir: &Path) -> PathBuf {
    certificate_path(dir, CA)
}

pub(super) fn ca_key(dir: &Path) -> PathBuf {
    key_path(dir, CA)
}

pub(super) fn certificate_path(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.pem"))
}

pub(super) fn key_path(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.key"))
}

/// A name becomes a DNS name and a file name: it must do as both.
pub(crate) fn check_name(name: &str) -> Result<(), TlsError> {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'-' | b'_');
    let label = |label: &str| {
        let ends = |c: Option<&u8>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        let bytes = label.as_bytes();
        ends(bytes.first()) && ends(bytes.last()) && bytes.iter().all(|c| inner(*c))
    };
    if name.len() <= 63 && name != CA && name.split('.').all(label) {
        Ok(())
    } else {
        Err(TlsError::BadName { name: name.to_owned() })
    }
}

fn load_issuer(dir: &Path) -> Result<Issuer<'static, KeyPair>, TlsError> {
    const TODO: &str = "make an authority with `umbel ca init DIR`, or issue where it was made";
    let read = |path: PathBuf, what| match fs::read_to_string(&path) {
        Ok(text) => Ok((path, text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(TlsError::Missing { what, path, todo: TODO })
        }
        Err(source) => Err(TlsError::Io { action: "read", path, source }),
    };
    let (pem_path, pem) = read(ca_pem(dir), "authority")?;
    let (key_path, key) = read(ca_key(dir), "key of the authority")?;
    let key = KeyPair::from_pem(&key)
        .map_err(|_| TlsError::NotPem { path: key_path, what: "private key" })?;
    Issuer::from_ca_cert_pem(&pem, key)
        .map_err(|_| TlsError::NotPem { path: pem_path, what: "certificate" })
}

fn read_or_make_key(path: &Path) -> Result<KeyPair, TlsError> {
    match fs::read_to_string(path) {
        Ok(text) => KeyPair::from_pem(&text)
            .map_err(|_| TlsError::NotPem { path: path.to_owned(), what: "private key" }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = KeyPair::generate().map_err(make)?;
            write_new(path, key.serialize_pem().as_bytes(), 0o600)?;
            Ok(key)
        }
        Err(source) => Err(TlsError::Io { action: "read", path: path.to_owned(), source }),
    }
}

/// Writes a file that did not exist, whole or not at all, and never over one that came meanwhile.
fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), TlsError> {
    let draft = path.with_extension(format!("{:016x}.new", rand::random::<u64>()));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&draft)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::hard_link(&draft, path));
    // A draft that stays behind hurts nobody.
    drop(fs::remove_file(&draft));
    written.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => TlsError::Exists { path: path.to_owned() },
        _ => TlsError::Io { action: "write", path: path.to_owned(), source },
    })
}

fn make(error: rcgen::Error) -> TlsError {
    TlsError::Make { why: error.to_string() }
}

/// The file name of the authority; no certificate may be called so.
const CA: &str = "ca";
const DAY: u64 = 24 * 3600;
/// Twenty years: exchanging an authority means touching every host.
const CA_DAYS: u64 = 20 * 365;
/// Five years: there is no list of revoked certificates, but nothing renews them by itself either.
const LEAF_DAYS: u64 = 5 * 365;
