//! TXT records at Cloudflare, by version 4 of its API.
//!
//! Knows nothing about what they prove.

use super::https::{HttpError, Https};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use mainstay_model::Secret;
use serde_json::{Value, json};

const API: &str = "https://api.cloudflare.com/client/v4";
/// Seconds; the least that is taken. A record that is gone in a minute does not stay in caches.
const TTL: u32 = 60;

/// Why a record was not written or removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CloudflareError {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("Cloudflare answers {status}: {message}")]
    Refused { status: StatusCode, message: String },
    #[error("Cloudflare has no zone for `{0}` that the token may edit")]
    NoZone(String),
    #[error("Cloudflare's answer has no {0}")]
    Lacks(&'static str),
}

/// What its API calls a record, with its zone: the path below the API's address.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place(String);

/// A client of the API.
pub(super) struct Cloudflare<'t> {
    http: Https,
    api: &'t str,
    token: &'t Secret,
}

impl<'t> Cloudflare<'t> {
    pub(super) fn new(token: &'t Secret) -> Result<Self, CloudflareError> {
        Ok(Self { http: Https::new(None)?, api: API, token })
    }

    /// Writes a record. One that is there already, because whoever wrote it died or another order was given the same
    /// challenge, is taken for it: Cloudflare refuses a second one that is identical (81058).
    pub(super) async fn create(&self, name: &str, value: &str) -> Result<Place, CloudflareError> {
        let zone = self.zone(name).await?;
        let records = format!("/zones/{zone}/dns_records");
        if let Some(place) = self.find(&records, name, value).await? {
            return Ok(place);
        }
        let record = json!({ "type": "TXT", "name": name, "content": quoted(value), "ttl": TTL });
        let made = self.ask(Method::POST, &records, Bytes::from(record.to_string())).await?;
        place(&records, &made).ok_or(CloudflareError::Lacks("id of the record"))
    }

    /// Removes a record. That it is gone already is as good.
    pub(super) async fn delete(&self, Place(path): &Place) -> Result<(), CloudflareError> {
        match self.ask(Method::DELETE, path, Bytes::new()).await {
            Err(CloudflareError::Refused { status: StatusCode::NOT_FOUND, .. }) => Ok(()),
            other => other.map(drop),
        }
    }

    /// The record with this name and value. It may have been given with or without the quotes of a zone file.
    async fn find(&self, records: &str, name: &str, value: &str) -> Result<Option<Place>, CloudflareError> {
        let found = self.ask(Method::GET, &format!("{records}?type=TXT&name={name}"), Bytes::new()).await?;
        let same = |record: &&Value| {
            record["content"].as_str().is_some_and(|content| content == value || content == quoted(value))
        };
        Ok(found.as_array().into_iter().flatten().find(same).and_then(|record| place(records, record)))
    }

    /// The zone that `name` is in: the longest of its parents that the account has.
    async fn zone(&self, name: &str) -> Result<String, CloudflareError> {
        let mut parent = name;
        while let Some((_, rest)) = parent.split_once('.') {
            parent = rest;
            if !parent.contains('.') {
                break;
            }
            let zones = self.ask(Method::GET, &format!("/zones?name={parent}"), Bytes::new()).await?;
            if let Some(id) = zones[0]["id"].as_str() {
                return Ok(id.to_owned());
            }
        }
        Err(CloudflareError::NoZone(name.to_owned()))
    }

    /// The `result` of an answer that says it is a success.
    async fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Value, CloudflareError> {
        let url = format!("{}{path}", self.api);
        let request = Request::builder()
            .method(method)
            .uri(&url)
            .header("authorization", format!("Bearer {}", self.token.expose()))
            .header("content-type", "application/json")
            .header("user-agent", concat!("mainstay/", env!("CARGO_PKG_VERSION")))
            .body(body)
            .map_err(|_| HttpError::BadUrl(url))?;
        let answer = self.http.send(request).await?;
        let mut value: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
        if answer.status().is_success() && value["success"] == true {
            return Ok(value["result"].take());
        }
        let message = value["errors"][0]["message"].as_str().unwrap_or("no reason given").to_owned();
        Err(CloudflareError::Refused { status: answer.status(), message })
    }
}

fn place(records: &str, record: &Value) -> Option<Place> {
    record["id"].as_str().map(|id| Place(format!("{records}/{id}")))
}

/// As in a zone file, which is how Cloudflare keeps it.
fn quoted(value: &str) -> String {
    format!("\"{value}\"")
}

/// Against a stand-in that answers as Cloudflare's documentation says, for Cloudflare itself cannot be had for a test.
#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{BodyExt, Full};
    use hyper::body::Incoming;
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};
    use tokio::net::TcpListener;

    const TOKEN: &str = "the-token-of-the-zone";
    const NAME: &str = "_acme-challenge.www.example.co.uk";

    /// The records of the one zone `example.co.uk`, and all requests that were taken.
    #[derive(Default)]
    struct Account {
        records: Vec<Value>,
        requests: Vec<String>,
    }

    impl Account {
        fn answer(&mut self, method: &Method, path: &str, body: &Value) -> (StatusCode, Value) {
            self.requests.push(format!("{method} {path}"));
            match (method.as_str(), path) {
                ("GET", "/v4/zones?name=example.co.uk") => {
                    (StatusCode::OK, json!([{ "id": "z1", "name": "example.co.uk" }]))
                }
                ("GET", path) if path.starts_with("/v4/zones?name=") => (StatusCode::OK, json!([])),
                ("GET", path) if path == format!("/v4/zones/z1/dns_records?type=TXT&name={NAME}") => {
                    (StatusCode::OK, json!(self.records))
                }
                ("POST", "/v4/zones/z1/dns_records") => self.create(body),
                ("DELETE", path) => {
                    let before = self.records.len();
                    self.records.retain(|record| !path.ends_with(record["id"].as_str().unwrap()));
                    match self.records.len() < before {
                        true => (StatusCode::OK, json!({ "id": "gone" })),
                        false => (
                            StatusCode::NOT_FOUND,
                            json!({ "code": 81044, "message": "Record does not exist." }),
                        ),
                    }
                }
                _ => panic!("{method} {path}"),
            }
        }

        fn create(&mut self, body: &Value) -> (StatusCode, Value) {
            let mut record = body.clone();
            if self.records.iter().any(|known| known["content"] == record["content"]) {
                let error = json!({ "code": 81058, "message": "An identical record already exists." });
                return (StatusCode::BAD_REQUEST, error);
            }
            record["id"] = json!(format!("r{}", self.requests.len()));
            self.records.push(record.clone());
            (StatusCode::OK, record)
        }
    }

    /// An account without records, and where its API is.
    async fn account() -> (Arc<Mutex<Account>>, String) {
        let account = Arc::<Mutex<Account>>::default();
        let served = account.clone();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/v4", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let account = served.clone();
                let answer = move |request: Request<Incoming>| answer(account.clone(), request);
                let serving =
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
                tokio::spawn(async move { drop(serving.await) });
            }
        });
        (account, address)
    }

    async fn answer(
        account: Arc<Mutex<Account>>,
        request: Request<Incoming>,
    ) -> Result<http::Response<Full<Bytes>>, Infallible> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let path = parts.uri.path_and_query().unwrap().as_str();
        let is_known = parts.headers["authorization"] == format!("Bearer {TOKEN}");
        let (status, result) = match is_known {
            true => {
                let body = serde_json::from_slice(&body).unwrap_or_default();
                account.lock().unwrap().answer(&parts.method, path, &body)
            }
            false => (StatusCode::FORBIDDEN, json!({ "code": 9109, "message": "Invalid access token" })),
        };
        let whole = match status.is_success() {
            true => json!({ "success": true, "errors": [], "messages": [], "result": result }),
            false => json!({ "success": false, "errors": [result], "messages": [], "result": null }),
        };
        let answer = http::Response::builder().status(status).body(Full::new(Bytes::from(whole.to_string())));
        Ok(answer.unwrap())
    }

    fn client<'t>(api: &'t str, token: &'t Secret) -> Cloudflare<'t> {
        Cloudflare { http: Https::new(None).unwrap(), api, token }
    }

    #[tokio::test]
    async fn a_record_is_written_into_the_nearest_zone_and_removed() {
        let ((account, api), token) = (account().await, Secret::new(TOKEN));
        let cloudflare = client(&api, &token);
        let first = cloudflare.create(NAME, "proof-1").await.unwrap();
        let second = cloudflare.create(NAME, "proof-2").await.unwrap();
        let expected =
            json!({ "id": "r4", "type": "TXT", "name": NAME, "content": "\"proof-1\"", "ttl": 60 });
        assert_eq!(account.lock().unwrap().records[0], expected);
        assert_eq!(
            account.lock().unwrap().requests[..2],
            ["GET /v4/zones?name=www.example.co.uk", "GET /v4/zones?name=example.co.uk"]
        );
        cloudflare.delete(&first).await.unwrap();
        assert_eq!(account.lock().unwrap().records.len(), 1);
        cloudflare.delete(&second).await.unwrap();
        assert_eq!(account.lock().unwrap().records, [Value::Null; 0]);
        cloudflare.delete(&second).await.expect("it is gone already");
    }

    #[tokio::test]
    async fn a_record_that_was_left_behind_is_used_and_removed() {
        let ((account, api), token) = (account().await, Secret::new(TOKEN));
        let cloudflare = client(&api, &token);
        let before = cloudflare.create(NAME, "proof").await.unwrap();
        let again = cloudflare.create(NAME, "proof").await.unwrap();
        assert_eq!(before, again);
        // One that somebody else wrote, without quotes.
        account.lock().unwrap().records[0]["content"] = json!("proof");
        assert_eq!(cloudflare.create(NAME, "proof").await.unwrap(), before);
        cloudflare.delete(&again).await.unwrap();
        assert!(account.lock().unwrap().records.is_empty());
    }

    #[tokio::test]
    async fn what_cloudflare_refuses_is_said_without_the_token() {
        let ((_, api), token) = (account().await, Secret::new("another-token"));
        let refused = client(&api, &token).create(NAME, "proof").await.unwrap_err();
        assert_eq!(refused.to_string(), "Cloudflare answers 403 Forbidden: Invalid access token");
        assert!(!format!("{refused:?}").contains("another-token"));
        let token = Secret::new(TOKEN);
        let unknown = client(&api, &token).create("_acme-challenge.example.org", "proof").await.unwrap_err();
        let words = "Cloudflare has no zone for `_acme-challenge.example.org` that the token may edit";
        assert_eq!(unknown.to_string(), words);
    }
}
