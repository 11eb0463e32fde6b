//! Which certificates there are to be, and where they come from.

use crate::Secret;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Let's Encrypt, which asks for nothing but an agreement to its terms.
pub const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// Let's Encrypt's rehearsal: certificates nobody trusts, and limits nobody reaches.
pub const LETS_ENCRYPT_STAGING: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";

/// `x-mainstay: edge: tls:`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsSettings {
    /// Certificates of one's own.
    pub files: Vec<CertificateFiles>,
    /// `acme:`: where certificates for all other hosts come from.
    pub acme: Option<Acme>,
    /// `internal`: they come from an authority of the edge's own.
    pub internal: bool,
    /// Whether requests that come without TLS are sent to the same address with it.
    pub redirect: bool,
    /// `on_demand:`: certificates for hosts that no route names.
    pub on_demand: Option<OnDemand>,
}

/// A certificate in files that somebody else keeps up to date.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CertificateFiles {
    /// PEM: the certificate, then its chain.
    pub cert: PathBuf,
    /// PEM: its key (PKCS #8, PKCS #1 or SEC 1).
    pub key: PathBuf,
}

/// An ACME account (RFC 8555) and how it proves that a host is ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acme {
    /// The directory's URL.
    pub directory: String,
    /// Whom the authority may write to.
    pub email: Option<String>,
    /// An account at the authority that this one belongs to (RFC 8555, 7.3.4).
    pub external_account: Option<ExternalAccount>,
    /// How names are proven by DNS; without, they are proven by HTTP and TLS, and wildcards cannot be had.
    pub dns: Option<DnsProvider>,
    /// PEM: the roots that the authority's own certificate is trusted by; the system's when absent.
    pub trust: Option<PathBuf>,
}

/// `eab:`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalAccount {
    /// Key identifier.
    pub id: String,
    /// MAC key, base64url.
    pub key: Secret,
}

/// Who writes TXT records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DnsProvider {
    /// Cloudflare's API, by a token that may read the zone and edit its DNS.
    Cloudflare { token: Secret },
    /// A program, called as `COMMAND set NAME VALUE` and `COMMAND unset NAME VALUE`. When `set` ends, the record is seen.
    Exec { command: Vec<String> },
}

/// Certificates for hosts that were not known before, such as customers' domains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnDemand {
    /// Is asked with `?domain=HOST` whether a host may have one; any status but 200 means no.
    pub ask: String,
}

/// Who issues a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Issuer {
    /// The edge's own authority.
    Internal,
    /// An ACME authority.
    Acme(Acme),
}

/// A certificate that the edge gets and renews by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagedCertificate {
    /// Host names, and wildcards as `*.example.com`.
    pub names: Vec<String>,
    /// Who issues it.
    pub issuer: Issuer,
}

/// All that a table says about certificates.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableTls {
    /// Certificates in files. Where two are for the same name the earlier is served, and these before managed ones; clients
    /// that ask for no name, or for one that none is for, get the first there is.
    pub files: Vec<CertificateFiles>,
    /// Certificates to be got and renewed.
    pub managed: Vec<ManagedCertificate>,
    /// For names that none of these is for: whom to ask, and who issues.
    pub on_demand: Option<Box<(OnDemand, Issuer)>>,
}
