//! `use_api_socket` as Docker Compose understands it (Compose Specification, "use_api_socket"): not a key that the Engine knows,
//! but a socket, a file with logins and a variable, which Compose adds to the service before it makes a container. What it
//! hashes is the service with these.

use crate::node::{Map, Node, Value};

/// `service` with what `use_api_socket` stands for.
pub fn expanded(service: &Node) -> Node {
    let mut service = service.clone();
    if !service.get_flag("use_api_socket") {
        return service;
    }
    let span = service.span;
    let entry = |fields: &[(&str, &str)]| {
        let mut node = Node::new(Value::Map(Map::new()), span);
        fields.iter().for_each(|(key, text)| node.put(key, Value::Text((*text).to_owned())));
        node
    };
    let socket = "/var/run/docker.sock";
    append(&mut service, "volumes", entry(&[("type", "bind"), ("source", socket), ("target", socket)]));
    let logins = [("source", "#apisocket"), ("target", "/run/secrets/docker/config.json")];
    append(&mut service, "configs", entry(&logins));
    service.put_default("environment", Value::Map(Map::new()));
    if let Some(variables) = service.get_mut("environment") {
        variables.put_default("DOCKER_CONFIG", Value::Text("/run/secrets/docker".to_owned()));
    }
    service
}

fn append(service: &mut Node, key: &str, item: Node) {
    service.put_default(key, Value::List(vec![]));
    if let Some(Value::List(items)) = service.get_mut(key).map(|node| &mut node.value) {
        items.push(item);
    }
}
