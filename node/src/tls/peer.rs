//! Reading name and role out of a certificate.

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use umbel_protocol::wire::hello::Proof;

use super::Role;

/// What a certificate proves. Whether it is genuine has been checked before, by TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The name it was issued for.
    pub name: String,
    /// What its holder may be.
    pub role: Role,
}

impl Identity {
    /// What it proves.
    #[must_use]
    pub fn proof(&self) -> Proof<'_> {
        Proof { name: &self.name, role: self.role }
    }

    /// The identity in `certificate`, unless that is not one of umbel's.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        Self::in_names(&parsed)
    }

    /// The role counts only when both names agree on it: a certificate with the names of both roles
    /// is not one of ours.
    pub(super) fn in_names(certificate: &X509Certificate<'_>) -> Option<Self> {
        let names = certificate.subject_alternative_name().ok()??;
        let names: Vec<&str> = names
            .value
            .general_names
            .iter()
            .filter_map(|name| match name {
                GeneralName::DNSName(name) => Some(*name),
                _ => None,
            })
            .collect();
        let of_role = |role: Role| {
            let short = role_name(role);
            let name = names.iter().find_map(|name| name.strip_suffix(&format!(".{short}")))?;
            names.contains(&short).then(|| Self { name: name.to_owned(), role })
        };
        match (of_role(Role::Node), of_role(Role::Client)) {
            (Some(identity), None) | (None, Some(identity)) => Some(identity),
            (None, None) | (Some(_), Some(_)) => None,
        }
    }
}

/// The DNS name that all certificates of a role carry.
pub(super) const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Client => "client.umbel",
        Role::Node => super::SERVER_NAME,
    }
}
