//! Values and arguments as they are written in Python or JSON.

/// A [`Value`](crate::Value) as it would be written in JSON, with expressions wherever a value may stand.
///
/// `null` and `None` are none. A key is a string literal, or any expression in parentheses. An
/// expression may have any type that is `Into<Value>`.
///
/// ```
/// use gunmetal_protocol::value;
///
/// let (size, name) = (3, String::from("size"));
/// let value = value!({"a": 1, "b": [1, 2.5, null, "x"], (name): size * 2, "empty": {}});
/// assert_eq!(value.get("size").unwrap().as_int(), Some(6));
/// ```
#[macro_export]
macro_rules! value {
    (null) => { $crate::Value::None };
    (None) => { $crate::Value::None };
    ([]) => { $crate::Value::List($crate::List::new()) };
    ([ $($items:tt)+ ]) => { $crate::Value::List($crate::List::from($crate::__list!([] [] $($items)+))) };
    ({}) => { $crate::Value::Dict($crate::Dict::new()) };
    ({ $($pairs:tt)+ }) => {{
        let mut dict = $crate::Dict::new();
        $crate::__dict!(dict [] $($pairs)+);
        $crate::Value::Dict(dict)
    }};
    ($value:expr) => { $crate::Value::from($value) };
}

/// The [`Args`](crate::Args) of a call: positional ones, then behind a semicolon keyword ones.
///
/// ```
/// use gunmetal_protocol::args;
///
/// let args = args!["cat.png", 3; size = 256, tags = ["a", "b"]];
/// assert_eq!(args.positional.len(), 2);
/// assert_eq!(args.keyword["size"].as_int(), Some(256));
/// assert!(args![].is_empty());
/// ```
#[macro_export]
macro_rules! args {
    () => { $crate::Args::new() };
    ($($arguments:tt)+) => { $crate::__args!([] $($arguments)+) };
}

/// Splits arguments at the semicolon.
#[doc(hidden)]
#[macro_export]
macro_rules! __args {
    ([$($positional:tt)*] ; $($keyword:tt)*) => {{
        #[allow(unused_mut)]
        let mut keyword = $crate::Dict::new();
        $crate::__keyword!(keyword [] $($keyword)*);
        $crate::Args { positional: $crate::__list!([] [] $($positional)*), keyword }
    }};
    ([$($positional:tt)*] $next:tt $($rest:tt)*) => { $crate::__args!([$($positional)* $next] $($rest)*) };
    ([$($positional:tt)*]) => {
        $crate::Args { positional: $crate::__list!([] [] $($positional)*), keyword: $crate::Dict::new() }
    };
}

/// `name = value, …`: gathers a value's tokens up to the next comma.
#[doc(hidden)]
#[macro_export]
macro_rules! __keyword {
    ($dict:ident []) => {};
    ($dict:ident [] $name:ident = $($rest:tt)+) => { $crate::__keyword!($dict [$name] [] $($rest)+) };
    ($dict:ident [$name:ident] [$($value:tt)+] , $($rest:tt)*) => {
        $dict.insert(stringify!($name), $crate::value!($($value)+));
        $crate::__keyword!($dict [] $($rest)*);
    };
    ($dict:ident [$name:ident] [$($value:tt)+]) => {
        $dict.insert(stringify!($name), $crate::value!($($value)+));
    };
    ($dict:ident [$name:ident] [$($value:tt)*] $next:tt $($rest:tt)*) => {
        $crate::__keyword!($dict [$name] [$($value)* $next] $($rest)*)
    };
}

/// `value, …` as a `Vec<Value>`: first the values done, then the tokens of the one being gathered.
#[doc(hidden)]
#[macro_export]
macro_rules! __list {
    ([$($done:expr),*] []) => { ::std::vec::Vec::<$crate::Value>::from([$($done),*]) };
    ([$($done:expr),*] [$($value:tt)+]) => { $crate::__list!([$($done,)* $crate::value!($($value)+)] []) };
    ([$($done:expr),*] [$($value:tt)+] , $($rest:tt)*) => {
        $crate::__list!([$($done,)* $crate::value!($($value)+)] [] $($rest)*)
    };
    ([$($done:expr),*] [$($value:tt)*] $next:tt $($rest:tt)*) => {
        $crate::__list!([$($done),*] [$($value)* $next] $($rest)*)
    };
}

/// `key: value, …`: gathers a value's tokens up to the next comma.
#[doc(hidden)]
#[macro_export]
macro_rules! __dict {
    ($dict:ident []) => {};
    ($dict:ident [] ($key:expr) : $($rest:tt)+) => { $crate::__dict!($dict [$key] [] $($rest)+) };
    ($dict:ident [] $key:literal : $($rest:tt)+) => { $crate::__dict!($dict [$key] [] $($rest)+) };
    ($dict:ident [$key:expr] [$($value:tt)+] , $($rest:tt)*) => {
        $dict.insert($key, $crate::value!($($value)+));
        $crate::__dict!($dict [] $($rest)*);
    };
    ($dict:ident [$key:expr] [$($value:tt)+]) => {
        $dict.insert($key, $crate::value!($($value)+));
    };
    ($dict:ident [$key:expr] [$($value:tt)*] $next:tt $($rest:tt)*) => {
        $crate::__dict!($dict [$key] [$($value)* $next] $($rest)*)
    };
}
