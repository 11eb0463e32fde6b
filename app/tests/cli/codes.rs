//! Every code that is printed has its page.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Codes named in the sources below `dir` by the letter of their kind.
fn named_in(dir: &Path, letter: char, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            named_in(&path, letter, found);
        } else if let Ok(text) = fs::read_to_string(&path) {
            for part in text.split('"') {
                let digits = part.strip_prefix(letter).unwrap_or_default();
                if digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_digit()) {
                    found.insert(part.to_owned());
                }
            }
        }
    }
}

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let mut codes = BTreeSet::new();
    codes.extend(mainstay_config::Code::ALL.iter().map(|code| code.id().to_owned()));
    named_in(&root().join("crates/agent/src"), 'A', &mut codes);
    named_in(&root().join("app/src"), 'X', &mut codes);
    let pages: BTreeSet<String> = fs::read_dir(root().join("docs/errors"))
        .unwrap()
        .filter_map(|entry| {
            Some(entry.unwrap().file_name().into_string().unwrap().strip_suffix(".md")?.to_owned())
        })
        .filter(|name| name != "README")
        .collect();
    assert_eq!(codes.difference(&pages).collect::<Vec<_>>(), Vec::<&String>::new(), "codes without a page");
    assert_eq!(pages.difference(&codes).collect::<Vec<_>>(), Vec::<&String>::new(), "pages without a code");
    let index = fs::read_to_string(root().join("docs/errors/README.md")).unwrap();
    for code in codes {
        assert!(index.contains(&format!("[{code}]({code}.md)")), "{code} is not in the index");
    }
}
