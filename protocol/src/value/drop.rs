//! Dropping without recursion.
//!
//! The glue that the compiler writes recurses once per level, and a value nested 1,000 deep would
//! overflow a small stack. So a container with containers in its containers is taken apart by a list
//! of work; flatter ones, nearly all there are, drop as usual and pay one look at their items.

use super::{Dict, List, Value};

impl Drop for List {
    fn drop(&mut self) {
        if self.0.iter().any(Value::holds_containers) {
            take_apart(self.0.drain(..).collect());
        }
    }
}

impl Drop for Dict {
    fn drop(&mut self) {
        if self.0.values().any(Value::holds_containers) {
            take_apart(self.0.drain(..).map(|(_, value)| value).collect());
        }
    }
}

impl Value {
    fn is_container(&self) -> bool {
        match self {
            Self::List(list) => !list.is_empty(),
            Self::Dict(dict) => !dict.is_empty(),
            _ => false,
        }
    }

    fn holds_containers(&self) -> bool {
        match self {
            Self::List(list) => list.iter().any(Self::is_container),
            Self::Dict(dict) => dict.values().any(Self::is_container),
            _ => false,
        }
    }
}

fn take_apart(mut work: Vec<Value>) {
    while let Some(value) = work.pop() {
        // What is dropped at the end of each turn holds no containers any more.
        match value {
            Value::List(mut list) => work.extend(list.0.drain(..).filter(Value::is_container)),
            Value::Dict(mut dict) => {
                work.extend(dict.0.drain(..).map(|(_, value)| value).filter(Value::is_container));
            }
            _ => {}
        }
    }
}
