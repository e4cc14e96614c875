//! The arguments of a call.

use crate::value::{Dict, Value};

/// What a call passes to its action: positional and keyword arguments, as in Python.
///
/// Made by the [`args!`](crate::args) macro, from a tuple (`("cat.png", 3).into()`), or field by field.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Args {
    /// Bound by position.
    pub positional: Vec<Value>,
    /// Bound by name.
    pub keyword: Dict,
}

impl Args {
    /// No arguments.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a positional argument.
    #[must_use]
    pub fn arg(mut self, value: impl Into<Value>) -> Self {
        self.positional.push(value.into());
        self
    }

    /// Adds a keyword argument.
    #[must_use]
    pub fn kwarg(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.keyword.insert(name, value);
        self
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.positional.is_empty() && self.keyword.is_empty()
    }
}

impl From<()> for Args {
    fn from((): ()) -> Self {
        Self::default()
    }
}

impl From<Vec<Value>> for Args {
    fn from(positional: Vec<Value>) -> Self {
        Self { positional, keyword: Dict::default() }
    }
}

impl From<Dict> for Args {
    fn from(keyword: Dict) -> Self {
        Self { positional: Vec::new(), keyword }
    }
}

macro_rules! from_tuples {
    ($($($name:ident)+;)*) => {$(
        impl<$($name: Into<Value>),+> From<($($name,)+)> for Args {
            #[allow(non_snake_case, reason = "the type's name serves as the variable's")]
            fn from(($($name,)+): ($($name,)+)) -> Self {
                vec![$($name.into()),+].into()
            }
        }
    )*};
}

from_tuples! {
    A;
    A B;
    A B C;
    A B C D;
    A B C D E;
    A B C D E F;
    A B C D E F G;
    A B C D E F G H;
}

#[cfg(test)]
mod tests {
    use crate::{Args, Value, args};

    #[test]
    fn the_macro_takes_positional_and_keyword_arguments() {
        let name = String::from("x");
        let args = args!["cat", 3; size = 256, name = name, tags = ["a", null]];
        assert_eq!(args.positional, [Value::from("cat"), Value::from(3)]);
        assert_eq!(args.keyword["size"], Value::Int(256));
        assert_eq!(args.keyword["name"], Value::from("x"));
        assert_eq!(args.keyword["tags"], vec![Value::from("a"), Value::None].into());
    }

    #[test]
    fn either_kind_may_be_left_out() {
        assert!(args![].is_empty());
        assert_eq!(args![; size = 1], Args::new().kwarg("size", 1));
        assert_eq!(args![1, 2.5], Args::from((1, 2.5)));
    }
}
