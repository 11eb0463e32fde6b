//! Commands of Compose that are not here, and what to use instead.

/// One line about what stands in for Compose's command `word`; `None` for a word that Compose does not know either.
pub fn instead(word: &str) -> Option<String> {
    let way = match word {
        "bridge" => "`docker-compose bridge` converts the file, which stays a Compose file",
        "publish" => "`docker-compose publish` works on the file, which stays a Compose file",
        _ => return None,
    };
    Some(format!("`{word}` is a command of Compose that Mainstay does not have: {way}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_is_one_line_and_names_a_way() {
        for word in ["bridge", "publish"] {
            let line = instead(word).unwrap();
            assert!(!line.contains('\n') && line.contains('`'), "{line}");
        }
        assert_eq!(instead("frobnicate"), None);
    }
}
