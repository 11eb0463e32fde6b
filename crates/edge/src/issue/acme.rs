//! One order at an ACME authority, from account to certificate (RFC 8555), and its suggestion when to renew (RFC 9773).
//!
//! Knows nothing about when to order.

use super::dns::{self, Record};
use super::https::Https;
use super::schedule::Suggestion;
use super::{IssueError, Issued, unix_time};
use crate::tls::{Answering, Certificate, Challenges, Store};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use instant_acme::{
    Account, AuthorizationHandle, AuthorizationStatus, CertificateIdentifier, ChallengeType,
    Error as AcmeError, ExternalAccountKey, Identifier, NewAccount, NewOrder, Order, OrderStatus,
    RetryPolicy,
};
use mainstay_model::{Acme, ExternalAccount};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use std::sync::Arc;
use std::time::Duration;

/// How long an authority may take to look at all answers, and to issue.
const PATIENCE: Duration = Duration::from_secs(180);
/// Orders begun again because the authority did not like a nonce: that says nothing about us.
const MOST_NONCES: usize = 8;

/// What an order is made with.
pub(super) struct Shop<'s> {
    pub(super) acme: &'s Acme,
    pub(super) store: &'s Store,
    pub(super) challenges: &'s Arc<Challenges>,
    pub(super) http: Https,
}

impl Shop<'_> {
    /// Gets a certificate for `names`. `attempt` counts the failures before, so that one way to prove a name follows on
    /// another; `before` is the certificate that the new one follows.
    pub(super) async fn order(
        &self,
        names: &[String],
        attempt: u32,
        before: Option<&Certificate>,
    ) -> Result<Issued, IssueError> {
        let identifiers: Vec<_> = names.iter().map(|name| Identifier::Dns(name.clone())).collect();
        let mut replaces = before.and_then(identifier);
        let mut tries = 0;
        loop {
            let outcome = self.try_order(names, &identifiers, attempt, replaces.clone()).await;
            let kind = match &outcome {
                Err(IssueError::Acme(AcmeError::Api(problem))) => problem.r#type.as_deref().unwrap_or(""),
                _ => return outcome,
            };
            tries += 1;
            match kind.rsplit(':').next() {
                Some("badNonce") if tries < MOST_NONCES => {}
                // Ordered by somebody else in our place, or by us before a crash.
                Some("alreadyReplaced") if replaces.is_some() => replaces = None,
                _ => return outcome,
            }
        }
    }

    async fn try_order(
        &self,
        names: &[String],
        identifiers: &[Identifier],
        attempt: u32,
        replaces: Option<CertificateIdentifier<'static>>,
    ) -> Result<Issued, IssueError> {
        let account = self.account().await?;
        let mut wanted = NewOrder::new(identifiers);
        if let Some(replaces) = replaces {
            wanted = wanted.replaces(replaces);
        }
        let mut order = account.new_order(&wanted).await?;
        let mut proofs = Proofs::default();
        let proven = self.prove(&mut order, attempt, &mut proofs).await;
        self.take_away(proofs).await;
        proven?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = DistinguishedName::new();
        order.finalize_csr(params.serialize_request(&key)?.der()).await?;
        let chain = order.poll_certificate(&patience()).await?;
        Ok(Issued { chain, key: key.serialize_pem() })
    }

    /// When the authority would like `certificate` to be renewed.
    pub(super) async fn suggestion(&self, certificate: &Certificate) -> Result<Suggestion, IssueError> {
        /// For authorities without an answer; nothing is lost when it is late.
        const ASK_AGAIN: u64 = 24 * 3600;
        /// An authority may ask for less, but not to be asked all the time.
        const SHORTEST: u64 = 600;
        let none = Suggestion { window: None, asked: unix_time(), good_for: ASK_AGAIN };
        let Some(identifier) = identifier(certificate) else { return Ok(none) };
        let account = self.account().await?;
        match account.renewal_info(&identifier).await {
            Ok((info, good_for)) => {
                let seconds = |time: time::OffsetDateTime| u64::try_from(time.unix_timestamp()).unwrap_or(0);
                let window = (seconds(info.suggested_window.start), seconds(info.suggested_window.end));
                let good_for = good_for.as_secs().clamp(SHORTEST, ASK_AGAIN);
                Ok(Suggestion { window: Some(window), good_for, ..none })
            }
            Err(AcmeError::Unsupported(_)) => Ok(none),
            Err(error) => Err(error.into()),
        }
    }

    /// The account at this authority; made at the first time.
    async fn account(&self) -> Result<Account, IssueError> {
        let Acme { directory, email, external_account, dns: _, trust: _ } = self.acme;
        let name =
            format!("account-{}.json", super::fingerprint(&[directory, email.as_deref().unwrap_or("")]));
        let builder = Account::builder_with_http(Box::new(self.http.clone()));
        if let Some(text) = self.store.read(&name)?
            && let Ok(known) = serde_json::from_slice(text.as_bytes())
        {
            return Ok(builder.from_credentials(known).await?);
        }
        let contact: Vec<String> = email.iter().map(|email| format!("mailto:{email}")).collect();
        let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
        let new =
            NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let external = external_account.as_ref().map(external_key).transpose()?;
        let (account, made) = builder.create(&new, directory.clone(), external.as_ref()).await?;
        let text = serde_json::to_string(&made).map_err(AcmeError::from)?;
        self.store.write_secret(&name, &text)?;
        Ok(account)
    }

    /// Answers all that the authority wants to know, and waits until it has seen it.
    async fn prove(&self, order: &mut Order, attempt: u32, proofs: &mut Proofs) -> Result<(), IssueError> {
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            match authorization.status {
                AuthorizationStatus::Valid => {}
                AuthorizationStatus::Pending => {
                    self.answer(&mut authorization, attempt, proofs).await?;
                }
                _ => return Err(not_proven(&authorization)),
            }
        }
        match order.poll_ready(&patience()).await {
            Ok(OrderStatus::Ready | OrderStatus::Valid) => Ok(()),
            Ok(_) | Err(AcmeError::Timeout(_)) => Err(why_not(order).await?),
            // The order's own error says less than those of its parts.
            Err(AcmeError::Api(problem)) => match why_not(order).await {
                Ok(error @ IssueError::NotProven { .. }) => Err(error),
                _ => Err(AcmeError::Api(problem).into()),
            },
            Err(error) => Err(error.into()),
        }
    }

    async fn answer<'a>(
        &self,
        authorization: &'a mut AuthorizationHandle<'a>,
        attempt: u32,
        proofs: &mut Proofs,
    ) -> Result<(), IssueError> {
        let is_offered = |kind: &ChallengeType| authorization.challenges.iter().any(|c| c.r#type == *kind);
        let ways: &[ChallengeType] = match &self.acme.dns {
            Some(_) => &[ChallengeType::Dns01],
            // Whoever sits between us and the authority may pass one of them only.
            None if attempt.is_multiple_of(2) => &[ChallengeType::Http01, ChallengeType::TlsAlpn01],
            None => &[ChallengeType::TlsAlpn01, ChallengeType::Http01],
        };
        let Some(way) = ways.iter().find(|way| is_offered(way)).cloned() else {
            return Err(IssueError::NoWay(authorization.identifier().to_string()));
        };
        let Some(mut challenge) = authorization.challenge(way.clone()) else {
            return Err(IssueError::NoWay(String::new()));
        };
        let Identifier::Dns(host) = challenge.identifier().identifier else {
            return Err(IssueError::NoWay(challenge.identifier().to_string()));
        };
        let answer = challenge.key_authorization();
        match (&self.acme.dns, way) {
            (Some(provider), ChallengeType::Dns01) => {
                let name = format!("_acme-challenge.{host}");
                proofs.records.push(dns::set(provider, &name, &answer.dns_value()).await?);
            }
            (_, ChallengeType::Http01) => {
                proofs.answering.push(self.challenges.expect_token(&challenge.token, answer.as_str()));
            }
            _ => {
                let certificate = proof(host, answer.digest().as_ref())?;
                proofs.answering.push(self.challenges.expect_host(host, &certificate));
            }
        }
        challenge.set_ready().await?;
        Ok(())
    }

    /// What was written for the authority to see is not needed any more. A record that stays does no harm.
    async fn take_away(&self, proofs: Proofs) {
        let Some(provider) = &self.acme.dns else { return };
        for record in proofs.records {
            if let Err(error) = dns::unset(provider, record).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "a TXT record stays where it is");
            }
        }
    }
}

/// What is shown to the authority meanwhile.
#[derive(Default)]
struct Proofs {
    answering: Vec<Answering>,
    records: Vec<Record>,
}

fn patience() -> RetryPolicy {
    RetryPolicy::new().timeout(PATIENCE)
}

/// A certificate's name at its authority; none when it has no such name.
fn identifier(certificate: &Certificate) -> Option<CertificateIdentifier<'static>> {
    CertificateIdentifier::try_from(certificate.leaf()?).ok().map(CertificateIdentifier::into_owned)
}

fn external_key(account: &ExternalAccount) -> Result<ExternalAccountKey, IssueError> {
    let ExternalAccount { id, key } = account;
    let text = key.expose().trim_end_matches('=').replace('+', "-").replace('/', "_");
    let key = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| IssueError::ExternalKey)?;
    Ok(ExternalAccountKey::new(id.clone(), &key))
}

/// The certificate that a TLS-ALPN question is answered with (RFC 8737, 3).
fn proof(host: &str, digest: &[u8]) -> Result<Certificate, IssueError> {
    let mut params = CertificateParams::new([host.to_owned()])?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok(Certificate::from_pem(&(certificate.pem() + &key.serialize_pem()))?)
}

/// What the authority has against an order that will not become ready.
async fn why_not(order: &mut Order) -> Result<IssueError, IssueError> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        authorization.refresh().await?;
        if authorization.status != AuthorizationStatus::Valid {
            return Ok(not_proven(&authorization));
        }
    }
    Ok(AcmeError::Timeout(None).into())
}

fn not_proven(authorization: &AuthorizationHandle<'_>) -> IssueError {
    let problem = authorization.challenges.iter().find_map(|challenge| challenge.error.as_ref());
    let why = problem.map_or_else(|| "it has not looked yet".to_owned(), ToString::to_string);
    IssueError::NotProven { host: authorization.identifier().to_string(), why }
}
