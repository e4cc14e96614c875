//! One call as an app sees it.

use bytes::Bytes;
use gunmetal_protocol::{DecodeError, DictRef, ListRef, RequestRef, Value, ValueRef};

use crate::action_error::{ActionError, UnknownAction};
use crate::cancel_token::CancelToken;

/// One call as an app sees it: what is asked for, and whether somebody still waits.
///
/// Arguments are views of the request's bytes. An action that wants to look at more than its parameters takes a
/// `&Call`.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    request: RequestRef<'a>,
    payload: &'a Bytes,
    cancel: &'a CancelToken,
}

impl<'a> Call<'a> {
    /// The call that a REQUEST frame's payload asks for.
    ///
    /// # Errors
    ///
    /// A payload that is no request.
    pub fn decode(payload: &'a Bytes, cancel: &'a CancelToken) -> Result<Self, DecodeError> {
        Ok(Self { request: RequestRef::decode(payload)?, payload, cancel })
    }

    /// The app asked for, such as `images:ImageApp`.
    #[must_use]
    pub fn app_path(&self) -> &'a str {
        self.request.app_path
    }

    /// The action asked for.
    #[must_use]
    pub fn action(&self) -> &'a str {
        self.request.action
    }

    /// The positional arguments.
    #[must_use]
    pub fn args(&self) -> ListRef<'a> {
        self.request.args
    }

    /// The keyword arguments.
    #[must_use]
    pub fn kwargs(&self) -> DictRef<'a> {
        self.request.kwargs
    }

    /// Whether somebody still waits for this call.
    #[must_use]
    pub fn cancel(&self) -> &'a CancelToken {
        self.cancel
    }

    pub(crate) fn payload(&self) -> &'a Bytes {
        self.payload
    }

    /// Part of the arguments as [`Bytes`] of their own, without a copy.
    ///
    /// It keeps the whole request in memory: copy what is small and kept for long.
    #[must_use]
    pub fn bytes(&self, part: &[u8]) -> Bytes {
        let (whole, range) = (self.payload.as_ptr_range(), part.as_ptr_range());
        if whole.contains(&range.start) && range.end <= whole.end {
            return self.payload.slice_ref(part);
        }
        Bytes::copy_from_slice(part)
    }

    /// An argument as an owned [`Value`], whose bytes and strings are slices of the request.
    ///
    /// # Errors
    ///
    /// None for an argument of this call: it was checked when the request was decoded.
    pub fn value(&self, argument: ValueRef<'_>) -> Result<Value, DecodeError> {
        match argument {
            ValueRef::Bytes(bytes) => Ok(Value::Bytes(self.bytes(bytes))),
            ValueRef::List(list) => Value::decode(self.bytes(list.encoded())),
            ValueRef::Dict(dict) => Value::decode(self.bytes(dict.encoded())),
            scalar => Ok(scalar.to_value()),
        }
    }

    /// The error for an action that the app does not have; `known` are those it has.
    #[must_use]
    pub fn unknown_action(&self, known: &[&'static str]) -> ActionError {
        ActionError::UnknownAction(UnknownAction {
            app_path: self.app_path().to_owned(),
            action: self.action().to_owned(),
            known: known.to_vec(),
        })
    }
}
