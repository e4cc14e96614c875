//! Binding of arguments to parameters, as Python does it.

use gunmetal_protocol::{DictIter, DictRef, ListIter, ListRef, ValueRef};

use crate::bind_error::BindError;

/// What an action takes: `N` named parameters, and whether it collects the rest.
///
/// `#[action]` writes one; apps implemented by hand may use it the same way.
///
/// ```
/// use gunmetal_dirty::{Param, Signature};
/// # use gunmetal_protocol::{DictRef, ListRef};
///
/// const THUMBNAIL: Signature<2> =
///     Signature::new("thumbnail", [Param::required("image"), Param::optional("size")]);
///
/// let error = THUMBNAIL.bind(ListRef::EMPTY, DictRef::EMPTY).unwrap_err();
/// assert_eq!(error.to_string(), "thumbnail() missing required argument: 'image'");
/// ```
#[derive(Debug, Clone)]
pub struct Signature<const N: usize> {
    action: &'static str,
    params: [Param; N],
    /// Takes positional arguments without a parameter.
    rest_args: bool,
    /// Takes keyword arguments without a parameter.
    rest_kwargs: bool,
}

/// A named parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Param {
    name: &'static str,
    is_required: bool,
    is_keyword_only: bool,
}

/// Arguments that fit: one slot for each parameter, and the rest.
#[derive(Debug, Clone)]
pub struct Bound<'a, const N: usize> {
    action: &'static str,
    params: [Param; N],
    slots: [Option<ValueRef<'a>>; N],
    rest_args: ListIter<'a>,
    kwargs: DictRef<'a>,
}

impl Param {
    /// A parameter that every call must give.
    #[must_use]
    pub const fn required(name: &'static str) -> Self {
        Self { name, is_required: true, is_keyword_only: false }
    }

    /// A parameter with a default.
    #[must_use]
    pub const fn optional(name: &'static str) -> Self {
        Self { name, is_required: false, is_keyword_only: false }
    }

    /// The same, given by name only.
    #[must_use]
    pub const fn keyword_only(self) -> Self {
        Self { is_keyword_only: true, ..self }
    }
}

impl<const N: usize> Signature<N> {
    /// The signature of `action`; keyword-only parameters come last.
    #[must_use]
    pub const fn new(action: &'static str, params: [Param; N]) -> Self {
        Self { action, params, rest_args: false, rest_kwargs: false }
    }

    /// Takes any number of positional arguments more: Python's `*args`.
    #[must_use]
    pub const fn with_rest_args(mut self) -> Self {
        self.rest_args = true;
        self
    }

    /// Takes any keyword argument more: Python's `**kwargs`.
    #[must_use]
    pub const fn with_rest_kwargs(mut self) -> Self {
        self.rest_kwargs = true;
        self
    }

    /// Gives each argument its parameter; allocates nothing unless it fails.
    ///
    /// # Errors
    ///
    /// In Python's order: a keyword that is unknown or already given by position, too many positional arguments, a
    /// missing argument.
    pub fn bind<'a>(&self, args: ListRef<'a>, kwargs: DictRef<'a>) -> Result<Bound<'a, N>, BindError> {
        let action = self.action;
        let given = args.len();
        let allowed = self.params.iter().filter(|param| !param.is_keyword_only).count();
        let mut slots = [None; N];
        let mut rest_args = args.iter();
        for (slot, value) in slots.iter_mut().zip(rest_args.by_ref().take(allowed)) {
            *slot = Some(value);
        }
        for (key, value) in kwargs.iter() {
            match self.params.iter().position(|param| param.name == key) {
                Some(index) if index < given.min(allowed) => {
                    return Err(BindError::MultipleValues { action, name: self.params[index].name });
                }
                Some(index) => slots[index] = Some(value),
                None if self.rest_kwargs => {}
                None => return Err(self.unexpected(key)),
            }
        }
        if given > allowed && !self.rest_args {
            return Err(BindError::TooManyPositional { action, allowed, given });
        }
        let missing = |(param, slot): (&Param, &Option<_>)| param.is_required && slot.is_none();
        if self.params.iter().zip(&slots).any(missing) {
            let missing = self.params.iter().zip(&slots).filter(|(param, slot)| missing((param, slot)));
            let names = missing.map(|(param, _)| param.name).collect();
            return Err(BindError::MissingArguments { action, names });
        }
        Ok(Bound { action, params: self.params, slots, rest_args, kwargs })
    }

    #[cold]
    fn unexpected(&self, key: &str) -> BindError {
        let allowed = self.params.iter().map(|param| param.name).collect();
        BindError::UnexpectedKeyword { action: self.action, name: key.to_owned(), allowed }
    }
}

impl<'a, const N: usize> Bound<'a, N> {
    /// The value for parameter `index`; `None` means its default.
    ///
    /// # Panics
    ///
    /// If there is no such parameter.
    #[must_use]
    pub fn value(&self, index: usize) -> Option<ValueRef<'a>> {
        self.slots[index]
    }

    /// The value for parameter `index`, which is a required one.
    ///
    /// # Errors
    ///
    /// If the parameter is optional and was not given.
    ///
    /// # Panics
    ///
    /// If there is no such parameter.
    pub fn required(&self, index: usize) -> Result<ValueRef<'a>, BindError> {
        self.slots[index].ok_or_else(|| BindError::MissingArguments {
            action: self.action,
            names: vec![self.params[index].name],
        })
    }

    /// Positional arguments behind the last parameter.
    #[must_use]
    pub fn rest_args(&self) -> ListIter<'a> {
        self.rest_args.clone()
    }

    /// Keyword arguments without a parameter, in the caller's order.
    #[must_use]
    pub fn rest_kwargs(&self) -> RestKwargs<'a, '_> {
        RestKwargs { all: self.kwargs.iter(), params: &self.params }
    }
}

/// The iterator of [`Bound::rest_kwargs`].
#[derive(Debug, Clone)]
pub struct RestKwargs<'a, 'b> {
    all: DictIter<'a>,
    params: &'b [Param],
}

impl<'a> Iterator for RestKwargs<'a, '_> {
    type Item = (&'a str, ValueRef<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let params = self.params;
        self.all.find(|(key, _)| params.iter().all(|param| param.name != *key))
    }
}

#[cfg(test)]
mod tests;
