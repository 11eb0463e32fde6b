//! Networks of a stack.

use super::Docker;
use super::error::DockerError;
use super::labels::{self, Labels};
use super::wire::{Call, escape};
use mainstay_model::{AddressPool, Network, StackName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkBody {
    name: String,
    /// Engines before API 1.44 make a second network of the same name without it.
    check_duplicate: bool,
    driver: Option<String>,
    options: BTreeMap<String, String>,
    internal: bool,
    attachable: bool,
    #[serde(rename = "EnableIPv6", skip_serializing_if = "Option::is_none")]
    enable_ipv6: Option<bool>,
    /// Known from API 1.48 on.
    #[serde(rename = "EnableIPv4", skip_serializing_if = "Option::is_none")]
    enable_ipv4: Option<bool>,
    #[serde(rename = "IPAM", skip_serializing_if = "Option::is_none")]
    ipam: Option<Ipam>,
    labels: Labels,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Ipam {
    #[serde(skip_serializing_if = "Option::is_none")]
    driver: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    options: BTreeMap<String, String>,
    config: Vec<Pool>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Pool {
    #[serde(skip_serializing_if = "Option::is_none")]
    subnet: Option<String>,
    #[serde(rename = "IPRange", skip_serializing_if = "Option::is_none")]
    ip_range: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    auxiliary_addresses: BTreeMap<String, String>,
}

impl Docker {
    /// Makes the network `key` of `stack`; one of that name that is already the stack's stays as it is.
    ///
    /// # Errors
    /// [`DockerError::Conflict`] when a network of that name is somebody else's.
    pub async fn create_network(
        &self,
        stack: &StackName,
        key: &str,
        network: &Network,
    ) -> Result<(), DockerError> {
        let pool = |pool: &AddressPool| Pool {
            subnet: pool.subnet.clone(),
            ip_range: pool.ip_range.clone(),
            gateway: pool.gateway.clone(),
            auxiliary_addresses: pool.aux_addresses.clone(),
        };
        let plain =
            network.pools.is_empty() && network.ipam_driver.is_none() && network.ipam_options.is_empty();
        let body = NetworkBody {
            name: network.name.clone(),
            check_duplicate: true,
            driver: network.driver.clone(),
            options: network.driver_opts.clone(),
            internal: network.internal,
            attachable: network.attachable,
            enable_ipv6: network.enable_ipv6,
            enable_ipv4: network.enable_ipv4,
            ipam: (!plain).then(|| Ipam {
                driver: network.ipam_driver.clone(),
                options: network.ipam_options.clone(),
                config: network.pools.iter().map(pool).collect(),
            }),
            labels: labels::of_part(stack, labels::NETWORK, key, &network.labels, &network.config_hash),
        };
        let call = Call::post("/networks/create", format!("network {}", network.name)).json(&body)?;
        match self.wire.done(call).await {
            Err(DockerError::Conflict { what, message }) => {
                if self.project_of_network(&network.name).await?.as_deref() == Some(stack.as_str()) {
                    return Ok(());
                }
                Err(DockerError::Conflict { what, message })
            }
            other => other,
        }
    }

    /// Removes the network called `name`. One that is gone is gone.
    ///
    /// # Errors
    /// [`DockerError::Conflict`] or [`DockerError::Refused`] while containers hang on it.
    pub async fn remove_network(&self, name: &str) -> Result<(), DockerError> {
        let call = Call::delete(format!("/networks/{}", escape(name)), format!("network {name}"));
        match self.wire.done(call).await {
            Err(DockerError::NotFound { .. }) => Ok(()),
            other => other,
        }
    }

    /// Whether a network called `name` exists, whoever made it: what an `external` one must do.
    pub async fn has_network(&self, name: &str) -> Result<bool, DockerError> {
        match self.project_of_network(name).await {
            Ok(_) => Ok(true),
            Err(DockerError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn project_of_network(&self, name: &str) -> Result<Option<String>, DockerError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Inspected {
            #[serde(default)]
            labels: Option<Labels>,
        }
        let call = Call::get(format!("/networks/{}", escape(name)), format!("network {name}"));
        let network: Inspected = self.wire.json(call).await?;
        Ok(network.labels.unwrap_or_default().remove(labels::PROJECT))
    }
}
