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
    let mut splitter = Splitter::default();
    for c in text.chars() {
        if splitter.take(c)? {
            break;
        }
    }
    if splitter.escaped || splitter.quote.is_some() {
        return Err(Error::Open);
    }
    splitter.end_word();
    Ok(splitter.out)
}

#[derive(Default)]
struct Splitter {
    out: Words,
    word: String,
    /// Whether there is a word, an empty one in quotes included.
    begun: bool,
    /// The character that ends the quotation being read.
    quote: Option<char>,
    escaped: bool,
}

impl Splitter {
    /// Reads one character; `true` ends the reading.
    fn take(&mut self, c: char) -> Result<bool, Error> {
        if self.escaped {
            self.escaped = false;
            self.push(match c {
                't' => '\t',
                'n' => '\n',
                c => c,
            });
            return Ok(false);
        }
        match (c, self.quote) {
            ('\\', None | Some('"' | '`')) => self.escaped = true,
            ('"' | '\'', None) => (self.quote, self.begun) = (Some(c), true),
            ('"' | '\'', Some(open)) if c == open => self.quote = None,
            // Substitutions of a shell stay as they stand, in one word.
            ('`', None) => self.quote_and_keep(c, Some('`')),
            ('(', None) if self.word.ends_with('$') => self.quote_and_keep(c, Some(')')),
            ('`' | ')', Some(open)) if c == open => self.quote_and_keep(c, None),
            ('(' | ')', None) => return Err(Error::Parenthesis),
            (' ' | '\t' | '\r' | '\n', None) => self.end_word(),
            (';' | '&' | '|' | '<' | '>', None) => {
                // `2>` is a redirection as a whole.
                if c == '>' && self.word.starts_with(|d: char| d.is_ascii_digit()) {
                    self.begun = false;
                }
                self.out.stopped_at = Some(c);
                return Ok(true);
            }
            (c, _) => self.push(c),
        }
        Ok(false)
    }

    fn push(&mut self, c: char) {
        self.word.push(c);
        self.begun = true;
    }

    fn quote_and_keep(&mut self, c: char, quote: Option<char>) {
        self.quote = quote;
        self.push(c);
    }

    fn end_word(&mut self) {
        if self.begun {
            self.out.words.push(std::mem::take(&mut self.word));
        }
        self.begun = false;
    }
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
