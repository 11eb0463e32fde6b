//! Any text as a value with variables.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mainstay_config::{MapSource, Request, load, raw};

fuzz_target!(|text: &str| {
    // In single quotes a YAML scalar holds any line.
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    let quoted = text.replace('\'', "''");
    let stack = format!("services: {{ a: {{ image: '{quoted}', labels: {{ l: '{quoted}' }} }} }}\n");
    let source = MapSource::default().file("/p/compose.yaml", stack).set("A", "a").set("E", "");
    let request = Request { working_dir: "/p".into(), ..Request::default() };
    let loaded = load(&request, &source);
    let variables = raw(&request, &source).variables();
    for finding in &loaded.diagnostics {
        if let Some(span) = finding.span {
            assert!(loaded.texts.slice(span).is_some(), "{finding:?}");
        }
    }
    if let Some(project) = &loaded.project {
        let _printed = (project.to_compose_text(), project.hashes());
    }
    assert!(variables.keys().all(|name| text.contains(name.as_str())));
});
