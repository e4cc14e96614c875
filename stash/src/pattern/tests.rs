use std::io::Write;
use std::process::{Command, Stdio};

use super::*;

fn matches(pattern: &str, text: &str) -> bool {
    Pattern::new(pattern).matches(text)
}

#[test]
fn each_part_of_a_pattern_matches_what_it_says() {
    for (pattern, text) in [
        ("*", ""),
        ("*", "anything"),
        ("", ""),
        ("user:*", "user:"),
        ("user:*", "user:1"),
        ("*:1", "user:1"),
        ("u*r:?", "user:1"),
        ("u**r", "user"),
        ("?", "é"),
        ("[a-c]x", "bx"),
        ("[!a-c]x", "dx"),
        ("[]]", "]"),
        ("[!]]", "a"),
        ("[", "["),
        ("[a", "[a"),
        ("a[", "a["),
        ("[!", "[!"),
        ("[-a]", "-"),
        ("[a-]", "-"),
        ("[!z-a]", "q"),
        ("[é-ü]", "ö"),
        ("a\nb", "a\nb"),
        ("a?b", "a\nb"),
        ("*a*b*c", "xxaxxbxxcc"),
    ] {
        assert!(matches(pattern, text), "{pattern:?} {text:?}");
    }
    for (pattern, text) in [
        ("", "a"),
        ("?", ""),
        ("?", "ab"),
        ("user:*", "user"),
        ("User:*", "user:1"),
        ("[a-c]x", "dx"),
        ("[!a-c]x", "bx"),
        ("[z-a]", "m"),
        ("*a*b*c", "xxaxxbxxcd"),
        ("[a]", ""),
    ] {
        assert!(!matches(pattern, text), "{pattern:?} {text:?}");
    }
}

#[test]
fn a_key_that_almost_matches_many_stars_is_refused_soon() {
    let text = "a".repeat(2000);
    let pattern = format!("{}b", "*a".repeat(300));
    assert!(!matches(&pattern, &text));
    assert!(matches(&pattern, &format!("{text}b")));
}

/// All short texts over an alphabet of what means something in a pattern, against Python's own `fnmatch`.
#[test]
fn patterns_mean_what_they_mean_in_python() {
    let mut random = Random(7);
    let mut cases = Vec::new();
    for _ in 0..30_000 {
        let pattern =
            random.text(&['a', 'b', 'c', '*', '?', '[', ']', '!', '-', '^', '\\', '&', '~', 'é'], 9);
        for _ in 0..3 {
            cases.push((
                pattern.clone(),
                random.text(&['a', 'b', 'c', '-', '!', ']', '[', '^', '\\', 'é'], 5),
            ));
        }
    }
    // Sets get most of the quirks.
    for _ in 0..30_000 {
        let set = random.text(&['a', 'b', 'c', 'd', '-', '-', '!', ']', '^', '\\'], 8);
        for text in ["a", "b", "c", "d", "-", "!", "]", "^", "\\"] {
            cases.push((format!("[{set}]"), text.to_owned()));
        }
    }
    let input: String = cases.iter().map(|(pattern, text)| format!("{pattern}\t{text}\n")).collect();
    let mut python = Command::new("python3")
        .args(["-W", "ignore", "-c", SCRIPT])
        .env("PYTHONIOENCODING", "utf-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is needed");
    let mut stdin = python.stdin.take().unwrap();
    let writing = std::thread::spawn(move || stdin.write_all(input.as_bytes()).unwrap());
    let output = python.wait_with_output().unwrap();
    writing.join().unwrap();
    assert!(output.status.success());
    assert_eq!(output.stdout.len(), cases.len());
    let mut matched = 0;
    for ((pattern, text), theirs) in cases.iter().zip(output.stdout) {
        let theirs = theirs == b'1';
        assert_eq!(matches(pattern, text), theirs, "{pattern:?} {text:?}");
        matched += usize::from(theirs);
    }
    assert!(matched > cases.len() / 50, "{matched} of {} matched: the cases say little", cases.len());
}

const SCRIPT: &str = "
import fnmatch, sys
lines = sys.stdin.buffer.read().decode().split('\\n')[:-1]
out = []
for line in lines:
    pattern, text = line.split('\\t')
    out.append('1' if fnmatch.fnmatchcase(text, pattern) else '0')
sys.stdout.write(''.join(out))
";

/// Numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn text(&mut self, alphabet: &[char], most: usize) -> String {
        let len = self.below(most + 1);
        (0..len).map(|_| alphabet[self.below(alphabet.len())]).collect()
    }
}
