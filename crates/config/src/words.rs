//! A command line written as one text, split into words the way Compose does it: quotes and backslashes as in
//! a shell, and nothing else of a shell.

/// A command line that cannot be split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A quote or backslash without its counterpart.
    #[error("a quote or backslash at the end of this command line is left open")]
    Open,
    /// A parenthesis outside quotes.
    #[error("a parenthesis outside quotes: this is not a shell")]
    Parenthesis,
}

/// The words, and what Compose drops: it stops reading at the first `;`, `&`, `|`, `<` or `>` outside quotes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    /// The words.
    pub words: Vec<String>,
    /// The character at which reading stopped, where it did.
    pub stopped_at: Option<char>,
}

/// Splits a command line.
pub fn split(text: &str) -> Result<Words, Error> {
    let mut out = Words::default();
    let mut word = String::new();
    let mut begun = false;
    let mut quote: Option<char> = None;
    let mut escaped = false;
    for c in text.chars() {
        if escaped {
            word.push(match c {
                't' => '\t',
                'n' => '\n',
                c => c,
            });
            (escaped, begun) = (false, true);
            continue;
        }
        match (c, quote) {
            ('\\', None | Some('"' | '`')) => escaped = true,
            (c @ ('"' | '\''), None) => (quote, begun) = (Some(c), true),
            ('`', None) => {
                quote = Some('`');
                word.push('`');
                begun = true;
            }
            ('`', Some('`')) => {
                quote = None;
                word.push('`');
            }
            (c @ ('"' | '\''), Some(open)) if c == open => quote = None,
            (' ' | '\t' | '\r' | '\n', None) => {
                if begun {
                    out.words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            (c @ (';' | '&' | '|' | '<' | '>'), None) => {
                if c == '>' && word.starts_with(|d: char| d.is_ascii_digit()) {
                    // `2>` is a redirection as a whole.
                    begun = false;
                }
                out.stopped_at = Some(c);
                break;
            }
            ('(', None) if word.ends_with('$') => {
                quote = Some(')');
                word.push('(');
            }
            (')', Some(')')) => {
                quote = None;
                word.push(')');
            }
            ('(' | ')', None) => return Err(Error::Parenthesis),
            (c, _) => {
                word.push(c);
                begun = true;
            }
        }
    }
    if escaped || quote.is_some() {
        return Err(Error::Open);
    }
    if begun {
        out.words.push(word);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        split(text).unwrap().words
    }

    #[test]
    fn quotes_and_backslashes() {
        assert_eq!(words("a 'b c'  \"d \\\"e\\\"\" f\\ g"), ["a", "b c", "d \"e\"", "f g"]);
        assert_eq!(words("sh -c 'a && b; c'"), ["sh", "-c", "a && b; c"]);
        assert_eq!(words("a '' \"\""), ["a", "", ""]);
        assert_eq!(words("  "), Vec::<String>::new());
        assert_eq!(words("a $(b c) d"), ["a", "$(b c)", "d"]);
        assert_eq!(words("echo 'it'\\''s'"), ["echo", "it's"]);
    }

    #[test]
    fn shell_operators_end_it_and_are_reported() {
        let split = split("a b && c").unwrap();
        assert_eq!((split.words, split.stopped_at), (vec!["a".to_owned(), "b".to_owned()], Some('&')));
    }

    #[test]
    fn open_ends() {
        for text in ["'a", "\"a", "a\\"] {
            assert_eq!(split(text), Err(Error::Open));
        }
    }
}
