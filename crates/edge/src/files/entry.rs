//! The entry page and `config.js` with the variables of the deployment put in.
//!
//! `${NAME}` stands for a variable, as `envsubst` has it in the entrypoints that this replaces; what is not named in the
//! file stays as it is. Knows nothing about requests.

use std::collections::BTreeMap;

/// Replaces `${NAME}` in a page. The values end up in HTML and JavaScript strings, so what could end either is escaped.
pub(super) fn substitute(page: &str, env: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(page.len());
    let mut rest = page;
    while let Some(at) = rest.find("${") {
        out.push_str(&rest[..at]);
        let name = rest[at + 2..].split_once('}').map(|(name, _)| name);
        match name.and_then(|name| Some((name, env.get(name)?))) {
            Some((name, value)) => {
                for c in value.chars() {
                    match c {
                        '"' | '\'' | '\\' | '<' | '>' | '&' | '`' | '\u{2028}' | '\u{2029}' => {
                            // Read alike by JavaScript and JSON; in HTML text it shows, and harms nothing.
                            out.push_str(&format!("\\u{:04x}", u32::from(c)));
                        }
                        c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
                        c => out.push(c),
                    }
                }
                rest = &rest[at + 3 + name.len()..];
            }
            None => {
                out.push_str("${");
                rest = &rest[at + 2..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// The `config.js` of a site that has none: the variables as an object, under `window.env`.
pub(super) fn config(env: &BTreeMap<String, String>) -> String {
    let object = serde_json::to_string(env).unwrap_or_default().replace('<', "\\u003c");
    format!("window.env = Object.freeze({object});\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_named_is_put_in_and_cannot_break_out() {
        let env = BTreeMap::from([
            ("KEY".to_owned(), "pk_\"</script>".to_owned()),
            ("V".to_owned(), "2".to_owned()),
        ]);
        assert_eq!(
            substitute("a ${KEY} ${OTHER} ${V}${", &env),
            "a pk_\\u0022\\u003c/script\\u003e ${OTHER} 2${"
        );
        assert_eq!(
            config(&env),
            "window.env = Object.freeze({\"KEY\":\"pk_\\\"\\u003c/script>\",\"V\":\"2\"});\n"
        );
    }
}
