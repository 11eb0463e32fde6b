//! Any bytes as `.env` and as an `env_file`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mainstay_config::{MapSource, Request, load};

const STACK: &str = "services: { a: { image: \"i:${A:-x}\", env_file: [.env, { path: .env, format: raw }], label_file: .env } }\n";

fuzz_target!(|bytes: &[u8]| {
    let source = MapSource::default().file("/p/compose.yaml", STACK).file("/p/.env", bytes).set("B", "b");
    let loaded = load(&Request { working_dir: "/p".into(), ..Request::default() }, &source);
    for finding in &loaded.diagnostics {
        let spans = finding.span.into_iter().chain(finding.notes.iter().filter_map(|note| note.span));
        for span in spans {
            assert!(loaded.texts.slice(span).is_some(), "{finding:?}");
        }
    }
});
