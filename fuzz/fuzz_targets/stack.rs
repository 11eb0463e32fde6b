//! Any bytes as a stack file: a load ends, does not panic, and its findings lie within its text.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mainstay_config::{MapSource, Request, load, raw};

fuzz_target!(|bytes: &[u8]| {
    let source = MapSource::default()
        .file("/p/compose.yaml", bytes)
        .file("/p/.env", "A=1\n")
        .file("/p/other.yaml", "services: { s: { image: i } }\n")
        .set("B", "b");
    let request = Request { working_dir: "/p".into(), ..Request::default() };
    let loaded = load(&request, &source);
    for finding in &loaded.diagnostics {
        let spans = finding.span.into_iter().chain(finding.notes.iter().filter_map(|note| note.span));
        for span in spans {
            assert!(loaded.texts.slice(span).is_some(), "{finding:?}");
        }
    }
    if let Some(project) = &loaded.project {
        let _printed = (project.to_compose_text(), project.to_compose_yaml(), project.hashes());
    }
    let raw = raw(&request, &source);
    let _printed = (raw.to_text(), raw.variables());
});
