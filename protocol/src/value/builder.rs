//! Building nested values without recursion.

use bytestring::ByteString;

use super::{Dict, List, Value};

/// Lists and dicts under construction, the innermost last.
pub(crate) struct Builder {
    open: Vec<Open>,
}

enum Open {
    List(List),
    /// The dict so far, and the key that waits for its value.
    Dict(Dict, ByteString),
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self { open: Vec::new() }
    }

    pub(crate) fn open_list(&mut self, capacity: usize) {
        self.open.push(Open::List(List::with_capacity(capacity)));
    }

    pub(crate) fn open_dict(&mut self, capacity: usize) {
        self.open.push(Open::Dict(Dict::with_capacity(capacity), ByteString::new()));
    }

    /// Names the next value of the innermost dict.
    pub(crate) fn key(&mut self, key: ByteString) {
        if let Some(Open::Dict(_, next)) = self.open.last_mut() {
            *next = key;
        }
    }

    /// The innermost list or dict, complete; [`add`](Self::add) it to put it into what surrounds it.
    pub(crate) fn close(&mut self) -> Value {
        match self.open.pop() {
            Some(Open::List(list)) => Value::List(list),
            Some(Open::Dict(dict, _)) => Value::Dict(dict),
            None => Value::None,
        }
    }

    /// Puts a value into the innermost list or dict; gives it back if nothing is open.
    pub(crate) fn add(&mut self, value: Value) -> Option<Value> {
        match self.open.last_mut() {
            Some(Open::List(list)) => list.push(value),
            Some(Open::Dict(dict, key)) => {
                dict.insert(std::mem::take(key), value);
            }
            None => return Some(value),
        }
        None
    }
}
