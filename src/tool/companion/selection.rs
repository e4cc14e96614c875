//! Which companions are meant.

use gunmetal_stash::Pattern;

use super::answer::Companion;

/// Words that mean no companion.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no companion {} {word:?}; there {}", how(word), list(known))]
pub(super) struct NoMatch {
    /// The first of them.
    word: String,
    /// The names that there are.
    known: Vec<String>,
}

/// The companions that `words` mean, each once, in the order of the words: a name means itself, `all` all of them, and a pattern
/// those that it matches. What is configured no more is meant by its name alone. Without words all that there are are meant.
pub(super) fn select<'a>(words: &[String], known: &'a [Companion]) -> Result<Vec<&'a Companion>, NoMatch> {
    if words.is_empty() {
        return Ok(known.iter().collect());
    }
    let mut chosen: Vec<&Companion> = Vec::new();
    for word in words {
        let pattern = Pattern::new(word);
        let is_name = known.iter().any(|companion| companion.name == *word);
        let is_meant = |companion: &&Companion| match is_name {
            // Whatever else it might mean.
            true => companion.name == *word,
            false => !companion.removed && (word == "all" || pattern.matches(&companion.name)),
        };
        let mut matches = known.iter().filter(is_meant).peekable();
        if matches.peek().is_none() && word != "all" {
            let known = known.iter().map(listed).collect();
            return Err(NoMatch { word: word.clone(), known });
        }
        for companion in matches {
            if !chosen.iter().any(|other| other.name == companion.name) {
                chosen.push(companion);
            }
        }
    }
    Ok(chosen)
}

fn listed(companion: &Companion) -> String {
    let remark = if companion.removed { " (configured no more)" } else { "" };
    format!("{}{remark}", companion.name)
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
    use serde_json::json;

    use super::*;

    const KNOWN: &str = "rq-default rq-long scheduler socketio";

    fn names(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    /// Those of the companions `known` that are meant. A `-` before a name is for one that is configured no more.
    fn chosen(words: &str, known: &str) -> Result<String, String> {
        let companion = |name: String| {
            let status = json!({
                "name": name.trim_start_matches('-'),
                "state": "STOPPING",
                "removed": name.starts_with('-'),
            });
            serde_json::from_value(status).unwrap()
        };
        let known: Vec<Companion> = names(known).into_iter().map(companion).collect();
        let chosen = select(&names(words), &known).map_err(|error| error.to_string())?;
        Ok(chosen.iter().map(|companion| companion.name.as_str()).collect::<Vec<_>>().join(" "))
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
    fn what_is_configured_no_more_is_meant_by_its_name_alone() {
        for (words, expected) in
            [("", "a ab b"), ("all", "a b"), ("a*", "a"), ("ab", "ab"), ("a* ab", "a ab")]
        {
            assert_eq!(chosen(words, "a -ab b").as_deref(), Ok(expected), "{words}");
        }
        assert_eq!(chosen("all", "-a").as_deref(), Ok(""));
        let expected = "no companion matches \"ab*\"; there are a, ab (configured no more)";
        assert_eq!(chosen("ab*", "a -ab").unwrap_err(), expected);
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
