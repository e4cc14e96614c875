//! How a value looks in a message or a log.

use std::fmt::{Debug, Formatter, Result, Write};

use super::{Dict, List, Step, Value, Walk};

impl Debug for Value {
    /// As Rust would write its content: `{"size": 256, "tags": ["a", None]}`.
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        // Whether the next item has one before it in the same list or dict.
        let mut follows = false;
        for step in Walk::new(self) {
            if follows && !matches!(step, Step::EndList | Step::EndDict) {
                f.write_str(", ")?;
            }
            follows = matches!(step, Step::Leaf(_) | Step::EndList | Step::EndDict);
            match step {
                Step::Leaf(leaf) => show_leaf(leaf, f)?,
                Step::List(_) => f.write_char('[')?,
                Step::Dict(_) => f.write_char('{')?,
                Step::Key(key) => write!(f, "{:?}: ", &**key)?,
                Step::EndList => f.write_char(']')?,
                Step::EndDict => f.write_char('}')?,
            }
        }
        Ok(())
    }
}

fn show_leaf(leaf: &Value, f: &mut Formatter<'_>) -> Result {
    match leaf {
        Value::Bool(bool) => write!(f, "{bool}"),
        Value::Int(int) => write!(f, "{int}"),
        Value::Float(float) => write!(f, "{float:?}"),
        Value::Bytes(bytes) => write!(f, "{bytes:?}"),
        Value::Str(string) => write!(f, "{:?}", &**string),
        Value::None | Value::List(_) | Value::Dict(_) => f.write_str("None"),
    }
}

impl Debug for List {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Debug for Dict {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
