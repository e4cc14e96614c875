//! Reading nested values without recursion.

use bytestring::ByteString;

use super::{Dict, List, Value};

/// One step through a value.
pub(crate) enum Step<'a> {
    /// A value that is no list or dict.
    Leaf(&'a Value),
    /// A list begins; its items follow, then [`Step::EndList`].
    List(&'a List),
    /// A dict begins; keys and values follow in turn, then [`Step::EndDict`].
    Dict(&'a Dict),
    /// The key of the value that comes next.
    Key(&'a ByteString),
    /// The innermost list ends.
    EndList,
    /// The innermost dict ends.
    EndDict,
}

/// The steps through a value in the order of its encoding.
pub(crate) struct Walk<'a> {
    /// What comes before anything in `open`.
    next: Option<&'a Value>,
    /// Open lists and dicts, the innermost last.
    open: Vec<Items<'a>>,
}

enum Items<'a> {
    List(std::slice::Iter<'a, Value>),
    Dict(indexmap::map::Iter<'a, ByteString, Value>),
}

impl<'a> Walk<'a> {
    pub(crate) fn new(value: &'a Value) -> Self {
        Self { next: Some(value), open: Vec::new() }
    }

    /// How many lists and dicts are open.
    pub(crate) fn depth(&self) -> usize {
        self.open.len()
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Step<'a>;

    #[inline]
    fn next(&mut self) -> Option<Step<'a>> {
        let value = match self.next.take() {
            Some(value) => Some(value),
            None => match self.open.last_mut()? {
                Items::List(items) => items.next(),
                Items::Dict(pairs) => match pairs.next() {
                    None => None,
                    Some((key, value)) => {
                        self.next = Some(value);
                        return Some(Step::Key(key));
                    }
                },
            },
        };
        Some(match value {
            Some(Value::List(list)) => {
                self.open.push(Items::List(list.iter()));
                Step::List(list)
            }
            Some(Value::Dict(dict)) => {
                self.open.push(Items::Dict(dict.iter()));
                Step::Dict(dict)
            }
            Some(leaf) => Step::Leaf(leaf),
            None => match self.open.pop()? {
                Items::List(_) => Step::EndList,
                Items::Dict(_) => Step::EndDict,
            },
        })
    }
}
