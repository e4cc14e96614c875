//! What stands between `[` and `]` in a pattern.

/// A set of characters, or all but those.
///
/// `[!…]` negates. A hyphen between two characters makes a range, elsewhere it is itself. Python takes a range whose ends are
/// the wrong way round out of the text together with its ends, and looks for the `!` after that; so do we.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CharSet {
    negated: bool,
    ranges: Vec<(char, char)>,
}

impl CharSet {
    pub(super) fn new(text: &str) -> CharSet {
        let text: Vec<char> = text.chars().collect();
        let mut chunks = chunks(&text);
        for at in (1..chunks.len()).rev() {
            let (from, to) = (chunks[at - 1].last(), chunks[at].first());
            if from > to {
                let rest = chunks.remove(at).split_off(1);
                chunks[at - 1].pop();
                chunks[at - 1].extend(rest);
            }
        }
        let negated = chunks[0].first() == Some(&'!');
        if negated {
            chunks[0].remove(0);
            if chunks[0].is_empty() && chunks.len() > 1 {
                // Nothing is left for the range to begin with.
                chunks.remove(0);
                chunks[0].insert(0, '-');
            }
        }
        let mut ranges = Vec::new();
        for (at, chunk) in chunks.iter().enumerate() {
            // The ends of a chunk that has a neighbour there are the ends of a range.
            let starts_inside = usize::from(at > 0);
            let ends_inside = usize::from(at + 1 < chunks.len());
            let plain = chunk.get(starts_inside..chunk.len().saturating_sub(ends_inside)).unwrap_or(&[]);
            ranges.extend(plain.iter().map(|&char| (char, char)));
            if let Some(next) = chunks.get(at + 1)
                && let (Some(&from), Some(&to)) = (chunk.last(), next.first())
            {
                ranges.push((from, to));
            }
        }
        CharSet { negated, ranges }
    }

    pub(super) fn contains(&self, char: char) -> bool {
        self.ranges.iter().any(|(from, to)| (*from..=*to).contains(&char)) != self.negated
    }
}

/// The text between the hyphens that make ranges.
fn chunks(text: &[char]) -> Vec<Vec<char>> {
    let mut chunks = Vec::new();
    let mut start = 0;
    let mut look_from = if text.first() == Some(&'!') { 2 } else { 1 };
    while let Some(found) = text.get(look_from..).and_then(|rest| rest.iter().position(|&char| char == '-')) {
        let hyphen = look_from + found;
        chunks.push(text[start..hyphen].to_vec());
        start = hyphen + 1;
        // The next character ends the range, and the one behind it may begin another.
        look_from = hyphen + 3;
    }
    match chunks.last_mut() {
        Some(last) if start == text.len() => last.push('-'),
        _ => chunks.push(text[start..].to_vec()),
    }
    chunks
}
