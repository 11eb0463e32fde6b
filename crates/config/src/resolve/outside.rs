//! What a stack asks of plug-ins of Compose, of model runners and of Windows.

use super::service::depends_on;
use super::texts;
use crate::node::Node;
use mainstay_model::{CredentialSpec, Model, ModelUse, Provider};
use std::collections::{BTreeMap, BTreeSet};

/// `provider:` of a service.
pub fn provider(service: &Node) -> Option<Provider> {
    let node = service.get("provider")?;
    let values = |node: &Node| match node.as_list() {
        Some(items) => texts(items),
        None => node.scalar_text().into_iter().collect(),
    };
    Some(Provider {
        kind: node.get_text("type").unwrap_or_default().to_owned(),
        options: node.entries("options").map(|(name, e)| (name.clone(), values(&e.node))).collect(),
        depends_on: depends_on(service),
        dependants: BTreeSet::new(),
    })
}

/// `models:` of the document.
pub fn models(tree: &Node) -> BTreeMap<String, Model> {
    let model = |node: &Node| Model {
        model: node.get_text("model").unwrap_or_default().to_owned(),
        name: node.get_text("name").map(str::to_owned),
        context_size: node.get_int("context_size").unwrap_or_default(),
        runtime_flags: texts(node.items("runtime_flags")),
    };
    tree.entries("models").map(|(key, entry)| (key.clone(), model(&entry.node))).collect()
}

/// `models:` of a service.
pub fn model_uses(service: &Node) -> BTreeMap<String, ModelUse> {
    let text = |node: &Node, key: &str| node.get_text(key).filter(|t| !t.is_empty()).map(str::to_owned);
    let one = |node: &Node| ModelUse {
        endpoint_var: text(node, "endpoint_var"),
        model_var: text(node, "model_var"),
    };
    service.entries("models").map(|(key, entry)| (key.clone(), one(&entry.node))).collect()
}

/// `credential_spec:` of a service.
pub fn credential_spec(node: &Node) -> CredentialSpec {
    let text = |key: &str| node.get_text(key).map(str::to_owned);
    CredentialSpec { config: text("config"), file: text("file"), registry: text("registry") }
}
