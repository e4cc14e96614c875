//! Which keys to list: the shell patterns of Python's `fnmatch`, to the letter.
//!
//! | in a pattern | matches |
//! |---|---|
//! | `*` | any characters, or none |
//! | `?` | one character |
//! | `[seq]`, `[a-z]` | one character that is in it; a `]` right behind the `[` is part of it |
//! | `[!seq]` | one character that is not in it |
//! | anything else, such as a `[` that is never closed | itself |
//!
//! Upper and lower case differ. Matching allocates nothing and never goes back beyond the last `*`, so a key takes at most
//! its length times the pattern's.

mod char_set;

use char_set::CharSet;

/// A pattern, taken apart once.
#[derive(Debug, Clone)]
pub struct Pattern {
    shape: Shape,
}

/// The shapes that need no walk from character to character have variants of their own.
#[derive(Debug, Clone)]
enum Shape {
    Everything,
    Exactly(Box<str>),
    Prefix(Box<str>),
    Suffix(Box<str>),
    General(Box<[Token]>),
}

#[derive(Debug, Clone)]
enum Token {
    Star,
    One(One),
}

/// What stands for one character.
#[derive(Debug, Clone)]
enum One {
    Any,
    Char(char),
    Set(CharSet),
}

impl Pattern {
    /// Takes a pattern apart. Every text is one.
    #[must_use]
    pub fn new(pattern: &str) -> Pattern {
        let literal = |text: &str| !text.contains(['*', '?', '[']);
        let shape = match (pattern.strip_suffix('*'), pattern.strip_prefix('*')) {
            _ if literal(pattern) => Shape::Exactly(pattern.into()),
            (Some(""), _) => Shape::Everything,
            (Some(prefix), _) if literal(prefix) => Shape::Prefix(prefix.into()),
            (_, Some(suffix)) if literal(suffix) => Shape::Suffix(suffix.into()),
            _ => Shape::General(tokens(pattern)),
        };
        Pattern { shape }
    }

    /// Whether the whole of `text` matches.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        match &self.shape {
            Shape::General(tokens) => matches_tokens(tokens, text),
            _ => self.matches_utf8(text.as_bytes()),
        }
    }

    /// [`matches`](Self::matches) for what is known to be UTF-8.
    #[inline]
    pub(crate) fn matches_utf8(&self, text: &[u8]) -> bool {
        match &self.shape {
            Shape::Everything => true,
            Shape::Exactly(whole) => text == whole.as_bytes(),
            Shape::Prefix(prefix) => text.starts_with(prefix.as_bytes()),
            Shape::Suffix(suffix) => text.ends_with(suffix.as_bytes()),
            Shape::General(tokens) => {
                std::str::from_utf8(text).is_ok_and(|text| matches_tokens(tokens, text))
            }
        }
    }
}

impl One {
    fn matches(&self, char: char) -> bool {
        match self {
            Self::Any => true,
            Self::Char(own) => *own == char,
            Self::Set(set) => set.contains(char),
        }
    }
}

fn tokens(pattern: &str) -> Box<[Token]> {
    let mut tokens = Vec::new();
    let mut rest = pattern;
    while let Some(char) = rest.chars().next() {
        rest = &rest[char.len_utf8()..];
        tokens.push(match char {
            '*' if matches!(tokens.last(), Some(Token::Star)) => continue,
            '*' => Token::Star,
            '?' => Token::One(One::Any),
            '[' => match closing(rest) {
                Some(end) => {
                    let set = CharSet::new(&rest[..end]);
                    rest = &rest[end + 1..];
                    Token::One(One::Set(set))
                }
                None => Token::One(One::Char('[')),
            },
            char => Token::One(One::Char(char)),
        });
    }
    tokens.into()
}

/// Where the `]` is that closes the set which `rest` begins within.
fn closing(rest: &str) -> Option<usize> {
    let negated = usize::from(rest.starts_with('!'));
    let first = negated + usize::from(rest[negated..].starts_with(']'));
    Some(first + rest[first..].find(']')?)
}

fn matches_tokens(tokens: &[Token], text: &str) -> bool {
    let (mut next, mut rest) = (0, text);
    // The token behind the last star, and the text from which on it was tried last.
    let mut retry: Option<(usize, &str)> = None;
    loop {
        match tokens.get(next) {
            Some(Token::Star) if next + 1 == tokens.len() => return true,
            Some(Token::Star) => {
                next += 1;
                retry = Some((next, rest));
                continue;
            }
            Some(Token::One(one)) => {
                if let Some(char) = rest.chars().next()
                    && one.matches(char)
                {
                    next += 1;
                    rest = &rest[char.len_utf8()..];
                    continue;
                }
                if rest.is_empty() {
                    // What the star would have to give back is text, of which there is too little.
                    return false;
                }
            }
            None if rest.is_empty() => return true,
            None => {}
        }
        let Some((token, tried)) = retry else { return false };
        let Some(char) = tried.chars().next() else { return false };
        (next, rest) = (token, &tried[char.len_utf8()..]);
        retry = Some((next, rest));
    }
}

#[cfg(test)]
mod tests;
