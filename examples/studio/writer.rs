//! A language model of a few hundred bytes, loaded once per worker: which word may follow which.

use std::collections::HashMap;
use std::process;
use std::thread;
use std::time::Duration;

use anyhow::ensure;
use gunmetal::dirty::prelude::*;
use serde::Serialize;

/// Continues texts word by word, as a much larger model would.
pub(crate) struct Writer {
    followers: HashMap<&'static str, Vec<&'static str>>,
}

/// What is to be said about a text.
#[derive(Serialize)]
struct Statistics {
    words: usize,
    characters: usize,
    /// The process that counted.
    worker: u32,
}

#[dirty_app]
impl Writer {
    fn init(_: &InitContext) -> Result<Self> {
        let words: Vec<_> = BOOK.split_whitespace().collect();
        let mut followers: HashMap<_, Vec<_>> = HashMap::new();
        for pair in words.windows(2) {
            followers.entry(pair[0]).or_default().push(pair[1]);
        }
        Ok(Writer { followers })
    }

    #[action]
    fn statistics(&self, text: &str) -> Statistics {
        Statistics {
            words: text.split_whitespace().count(),
            characters: text.chars().count(),
            worker: process::id(),
        }
    }

    /// Streams a story that begins with the last word of `prompt`, a word every `pace` seconds.
    #[action]
    fn story(
        &self,
        prompt: &str,
        #[default = 40] words: usize,
        #[default = 0.02] pace: f64,
    ) -> anyhow::Result<impl Iterator<Item = &'static str>> {
        let pace = Duration::try_from_secs_f64(pace)?;
        let begin = prompt.split_whitespace().last().and_then(|word| self.followers.get_key_value(word));
        ensure!(begin.is_some(), "no story begins with '{prompt}'; try 'the' or 'a'");
        let mut word = begin.map_or("the", |(word, _)| *word);
        Ok((0..words).map(move |count| {
            thread::sleep(pace);
            let current = word;
            word = self.followers.get(word).map_or("the", |next| next[count % next.len()]);
            current
        }))
    }
}

const BOOK: &str = "the smith took a bar of iron and the fire took the iron and the iron took a new form as the hammer fell \
    and the bell in the tower told the town that a new day of work had come to an end so the smith left the fire to the \
    night and the night left a bar of light on the door of the forge";
