//! Which companions are meant.

use gunmetal_stash::Pattern;

/// Words that mean no companion.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no companion {} {word:?}; there {}", how(word), list(known))]
pub(super) struct NoMatch {
    /// The first of them.
    word: String,
    /// The names that there are.
    known: Vec<String>,
}

/// The names that `words` mean, each once, in the order of the words: a name means itself, `all` all of them, and a pattern
/// those that it matches. Without words all are meant.
pub(super) fn select(words: &[String], known: &[String]) -> Result<Vec<String>, NoMatch> {
    if words.is_empty() {
        return Ok(known.to_owned());
    }
    let mut chosen: Vec<String> = Vec::new();
    for word in words {
        let pattern = Pattern::new(word);
        let is_meant = |name: &&String| match known.contains(word) {
            // Whatever else it might mean.
            true => *name == word,
            false => word == "all" || pattern.matches(name),
        };
        let mut matches = known.iter().filter(is_meant).peekable();
        if matches.peek().is_none() && word != "all" {
            return Err(NoMatch { word: word.clone(), known: known.to_owned() });
        }
        for name in matches {
            if !chosen.contains(name) {
                chosen.push(name.clone());
            }
        }
    }
    Ok(chosen)
}

fn how(word: &str) -> &'static str {
    if word.contains(['*', '?', '[']) { "matches" } else { "is called" }
}

fn list(known: &[String]) -> String {
    match known {
        [] => "are none".to_owned(),
        [one] => format!("is only {one}"),
        _ => format!("are {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &str = "rq-default rq-long scheduler socketio";

    fn names(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn chosen(words: &str, known: &str) -> Result<String, String> {
        select(&names(words), &names(known)).map(|chosen| chosen.join(" ")).map_err(|error| error.to_string())
    }

    #[test]
    fn names_patterns_and_all_mean_companions_each_once() {
        for (words, expected) in [
            ("", KNOWN),
            ("all", KNOWN),
            ("*", KNOWN),
            ("scheduler", "scheduler"),
            ("socketio rq-long", "socketio rq-long"),
            ("rq-*", "rq-default rq-long"),
            ("rq-long rq-* all", "rq-long rq-default scheduler socketio"),
            ("s*[er]", "scheduler"),
            ("[r-s]*o", "socketio"),
            ("rq-lon?", "rq-long"),
        ] {
            assert_eq!(chosen(words, KNOWN).as_deref(), Ok(expected), "{words}");
        }
    }

    #[test]
    fn a_name_means_itself_whatever_else_it_might_mean() {
        assert_eq!(chosen("all", "a all b").as_deref(), Ok("all"));
        assert_eq!(chosen("a*", "a* ab").as_deref(), Ok("a*"));
        assert_eq!(chosen("a[b]", "ab a[b]").as_deref(), Ok("a[b]"));
    }

    #[test]
    fn a_word_without_a_companion_is_an_error_that_lists_those_that_there_are() {
        let error = |words, known| chosen(words, known).unwrap_err();
        assert_eq!(error("sheduler", "a b"), "no companion is called \"sheduler\"; there are a, b");
        assert_eq!(error("a c*", "a b"), "no companion matches \"c*\"; there are a, b");
        assert_eq!(error("b", "a"), "no companion is called \"b\"; there is only a");
        assert_eq!(error("b", ""), "no companion is called \"b\"; there are none");
        assert_eq!(chosen("all", "").as_deref(), Ok(""));
    }
}
