//! The edge's own authority: for development, and for names that no public authority knows.
//!
//! Its root is made once and kept; whoever trusts it trusts every certificate from here. Knows nothing about when
//! certificates are needed.

use super::{IssueError, Issued};
use crate::tls::Store;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

/// Whoever has put the root into browsers and containers should not have to do it again soon.
const ROOT_LIFE: Duration = Duration::days(3650);
/// As long as public ones live, so that renewal is exercised alike.
const LIFE: Duration = Duration::days(90);
/// Clocks of those who are to trust a new certificate may be behind.
const EARLIER: Duration = Duration::hours(1);

/// The name of the root certificate in the store.
pub(crate) const ROOT: &str = "root.pem";
/// The name of its key.
const ROOT_KEY: &str = "root.key";

/// A certificate for `names`.
pub(super) fn issue(store: &Store, names: &[String]) -> Result<Issued, IssueError> {
    let (root, issuer) = root(store)?;
    let mut params = CertificateParams::new(names)?;
    let now = OffsetDateTime::now_utc();
    (params.not_before, params.not_after) = (now - EARLIER, now + LIFE);
    params.distinguished_name = DistinguishedName::new();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer)?;
    Ok(Issued { chain: certificate.pem() + &root, key: key.serialize_pem() })
}

/// The root's certificate and what signs with it; made when it is not there, or was not there whole.
fn root(store: &Store) -> Result<(String, Issuer<'static, KeyPair>), IssueError> {
    if let (Some(certificate), Some(key)) = (store.read(ROOT)?, store.read(ROOT_KEY)?) {
        let issuer = Issuer::from_ca_cert_pem(&certificate, KeyPair::from_pem(&key)?)?;
        return Ok((certificate, issuer));
    }
    let mut params = CertificateParams::default();
    let now = OffsetDateTime::now_utc();
    (params.not_before, params.not_after) = (now - EARLIER, now + ROOT_LIFE);
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, "Mainstay internal authority");
    params.distinguished_name = name;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?.pem();
    // The key first: a certificate without one would be trusted for nothing.
    store.write_secret(ROOT_KEY, &key.serialize_pem())?;
    store.write(ROOT, &certificate)?;
    Ok((certificate, Issuer::new(params, key)))
}
