//! Logins for registries, from where `docker login` keeps them: `config.json` of `DOCKER_CONFIG` or `~/.docker`,
//! and the helpers that it names.
//!
//! Knows nothing about images beyond the registry in their names. Logins are never shown.

use super::error::DockerError;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// Docker Hub's name in `config.json`.
const HUB: &str = "https://index.docker.io/v1/";

/// The Engine's `AuthConfig`.
#[derive(Default, Serialize)]
pub(super) struct Login {
    username: String,
    password: String,
    #[serde(rename = "identitytoken", skip_serializing_if = "String::is_empty")]
    identity_token: String,
    #[serde(rename = "serveraddress")]
    server_address: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ConfigFile {
    auths: BTreeMap<String, Auth>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Auth {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
}

/// What a helper answers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    username: String,
    secret: String,
}

impl Login {
    /// As the Engine's header takes it.
    pub(super) fn header(&self) -> String {
        URL_SAFE.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    /// As `config.json` has it.
    fn stored(&self) -> serde_json::Value {
        let auth = STANDARD.encode(format!("{}:{}", self.username, self.password));
        match self.identity_token.is_empty() {
            true => serde_json::json!({ "auth": auth }),
            false => serde_json::json!({ "auth": auth, "identitytoken": self.identity_token }),
        }
    }
}

/// The login for the registry of `image`; `None` when there is none.
///
/// # Errors
/// [`DockerError::Unreadable`] and [`DockerError::BadFile`] for `config.json`, [`DockerError::Credentials`] for
/// a helper that failed.
pub(super) async fn for_image(directory: Option<&Path>, image: &str) -> Result<Option<Login>, DockerError> {
    let Some((config, path)) = read(directory).await? else { return Ok(None) };
    let registry = registry_of(image);
    match config.helper_for(registry) {
        Some(helper) => ask(&format!("docker-credential-{helper}"), registry).await,
        None => config.stored(registry, path),
    }
}

/// A `config.json` with every login, those that helpers keep included, for a container that may use the Engine.
///
/// # Errors
/// Those of [`for_image`].
pub(super) async fn all(directory: Option<&Path>) -> Result<Vec<u8>, DockerError> {
    let mut auths = serde_json::Map::new();
    if let Some((config, path)) = read(directory).await? {
        let mut registries: BTreeMap<String, Option<String>> =
            config.auths.keys().map(|registry| (registry.clone(), config.creds_store.clone())).collect();
        if let Some(helper) = &config.creds_store {
            for registry in listed(&format!("docker-credential-{helper}")).await? {
                registries.insert(registry, Some(helper.clone()));
            }
        }
        let helpers = config.cred_helpers.iter();
        registries.extend(helpers.map(|(registry, helper)| (registry.clone(), Some(helper.clone()))));
        for (registry, helper) in registries {
            let login = match helper {
                Some(helper) => ask(&format!("docker-credential-{helper}"), &registry).await?,
                None => config.stored(&registry, path.clone())?,
            };
            if let Some(login) = login {
                auths.insert(registry, login.stored());
            }
        }
    }
    Ok(serde_json::to_vec(&serde_json::json!({ "auths": auths })).unwrap_or_default())
}

/// Registries that a helper has logins for.
async fn listed(helper: &str) -> Result<Vec<String>, DockerError> {
    let failed = |why: String| DockerError::Credentials {
        helper: helper.to_owned(),
        registry: "every registry".to_owned(),
        why,
    };
    let output = Command::new(helper).arg("list").stdin(Stdio::null()).output().await;
    let output = output.map_err(|e| failed(e.to_string()))?;
    let known: BTreeMap<String, String> = match output.status.success() {
        true => serde_json::from_slice(&output.stdout).map_err(|e| failed(e.to_string()))?,
        false => return Err(failed(String::from_utf8_lossy(&output.stdout).trim().to_owned())),
    };
    Ok(known.into_keys().collect())
}

async fn read(directory: Option<&Path>) -> Result<Option<(ConfigFile, PathBuf)>, DockerError> {
    let Some(directory) = directory else { return Ok(None) };
    let path = directory.join("config.json");
    let text = match tokio::fs::read(&path).await {
        Ok(text) => text,
        Err(source) if source.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(DockerError::Unreadable { path, source }),
    };
    let config = serde_json::from_slice(&text)
        .map_err(|e| DockerError::BadFile { path: path.clone(), why: e.to_string() })?;
    Ok(Some((config, path)))
}

/// Where `docker login` of this process's user keeps logins.
pub(super) fn usual_directory() -> Option<PathBuf> {
    let given =
        std::env::var_os("DOCKER_CONFIG").filter(|directory| !directory.is_empty()).map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".docker"));
    given.or_else(home)
}

/// The registry in `image`: its first part, where that can only be a host.
fn registry_of(image: &str) -> &str {
    match image.split_once('/') {
        Some(("docker.io" | "index.docker.io", _)) => HUB,
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        _ => HUB,
    }
}

impl ConfigFile {
    fn helper_for(&self, registry: &str) -> Option<&str> {
        self.cred_helpers.get(registry).or(self.creds_store.as_ref()).map(String::as_str)
    }

    fn stored(&self, registry: &str, path: PathBuf) -> Result<Option<Login>, DockerError> {
        let bare = |key: &str| {
            let host = key.trim_start_matches("https://").trim_start_matches("http://");
            host.split('/').next().unwrap_or(host).to_owned()
        };
        let found = self.auths.get(registry);
        let found =
            found.or_else(|| self.auths.iter().find(|(key, _)| bare(key) == registry).map(|(_, auth)| auth));
        let Some(auth) = found else { return Ok(None) };
        let mut login = Login {
            username: auth.username.clone(),
            password: auth.password.clone(),
            identity_token: auth.identitytoken.clone(),
            server_address: registry.to_owned(),
        };
        if !auth.auth.is_empty() {
            let why = || format!("the login for {registry} is not `user:password` in base64");
            let bad = || DockerError::BadFile { path: path.clone(), why: why() };
            let plain = STANDARD.decode(auth.auth.trim()).map_err(|_| bad())?;
            let plain = String::from_utf8(plain).map_err(|_| bad())?;
            let (username, password) = plain.split_once(':').ok_or_else(bad)?;
            login.username = username.to_owned();
            login.password = password.trim_end_matches('\0').to_owned();
        }
        Ok(Some(login))
    }
}

/// Asks a helper, which reads the registry's name and answers in JSON.
async fn ask(program: &str, registry: &str) -> Result<Option<Login>, DockerError> {
    let failed = |why: String| DockerError::Credentials {
        helper: program.to_owned(),
        registry: registry.to_owned(),
        why,
    };
    let mut child = Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| failed(e.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(registry.as_bytes()).await.map_err(|e| failed(e.to_string()))?;
    }
    let output = child.wait_with_output().await.map_err(|e| failed(e.to_string()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        // The one refusal that helpers have words for in common.
        if said.contains("credentials not found") {
            return Ok(None);
        }
        return Err(failed(format!("it ended with {}", output.status)));
    }
    let given: Given =
        serde_json::from_slice(&output.stdout).map_err(|_| failed("its answer is not JSON".to_owned()))?;
    let mut login = Login { server_address: registry.to_owned(), ..Login::default() };
    if given.username == "<token>" {
        login.identity_token = given.secret;
    } else {
        (login.username, login.password) = (given.username, given.secret);
    }
    Ok(Some(login))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[tokio::test]
    async fn a_helper_is_asked_and_its_refusals_are_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("helper");
        let script = "#!/bin/sh\nread -r registry\ncase $registry in\n\
                      known) echo '{\"ServerURL\":\"known\",\"Username\":\"me\",\"Secret\":\"pw\"}';;\n\
                      token) echo '{\"Username\":\"<token>\",\"Secret\":\"t\"}';;\n\
                      broken) exit 3;;\n\
                      *) echo 'credentials not found in native keychain'; exit 1;;\nesac\n";
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let program = program.to_str().unwrap();
        let known = ask(program, "known").await.unwrap().unwrap();
        assert_eq!((known.username.as_str(), known.password.as_str()), ("me", "pw"));
        assert_eq!(ask(program, "token").await.unwrap().unwrap().identity_token, "t");
        assert!(ask(program, "unknown").await.unwrap().is_none());
        let error = ask(program, "broken").await.err().unwrap();
        assert!(matches!(error, DockerError::Credentials { registry, .. } if registry == "broken"));
    }

    #[test]
    fn the_registry_is_the_first_part_that_looks_like_a_host() {
        assert_eq!(registry_of("redis"), HUB);
        assert_eq!(registry_of("library/redis"), HUB);
        assert_eq!(registry_of("docker.io/library/redis"), HUB);
        assert_eq!(registry_of("ghcr.io/a/b"), "ghcr.io");
        assert_eq!(registry_of("localhost/a"), "localhost");
        assert_eq!(registry_of("127.0.0.1:5000/a"), "127.0.0.1:5000");
    }

    #[test]
    fn stored_logins_are_found_under_host_or_address() {
        let config: ConfigFile = serde_json::from_str(
            r#"{"auths":{"https://ghcr.io/v1/":{"auth":"bWU6cHc6eA=="}},"credHelpers":{"ecr.example":"ecr-login"}}"#,
        )
        .unwrap();
        let login = config.stored("ghcr.io", PathBuf::new()).unwrap().unwrap();
        assert_eq!((login.username.as_str(), login.password.as_str()), ("me", "pw:x"));
        assert!(config.stored("quay.io", PathBuf::new()).unwrap().is_none());
        assert_eq!(config.helper_for("ecr.example"), Some("ecr-login"));
        assert_eq!(config.helper_for("ghcr.io"), None);
    }
}
