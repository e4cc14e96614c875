//! The trait that dirty apps implement.

use crate::action_error::{ActionError, Result};
use crate::call::Call;
use crate::init_context::InitContext;
use crate::reply::Reply;

/// A dirty app: made once in each worker that holds it, then called for as long as the worker lives.
///
/// [`#[dirty_app]`](crate::dirty_app) writes this implementation for an `impl` block with `#[action]`s. By hand:
///
/// ```
/// use gunmetal_dirty::prelude::*;
///
/// struct Echo;
///
/// impl DirtyApp for Echo {
///     fn init(_: &InitContext) -> Result<Self> {
///         Ok(Echo)
///     }
///
///     fn call<'a>(&'a self, call: &'a Call<'a>) -> Result<Reply<'a>> {
///         match call.action() {
///             "echo" => Reply::value(&call.args().iter().map(|arg| arg.to_value()).collect::<Vec<_>>()),
///             _ => Err(call.unknown_action(&["echo"])),
///         }
///     }
/// }
/// ```
pub trait DirtyApp: Send + Sync + Sized + 'static {
    /// How many workers load this app; `None` is all of them. The configuration's `module:Name:N` wins over it.
    const WORKERS: Option<u32> = None;

    /// Stash tables that exist from the start on.
    const STASHES: &'static [&'static str] = &[];

    /// Makes the app: loads the model, opens the library.
    ///
    /// The worker is given no calls before all its apps are made.
    ///
    /// # Errors
    ///
    /// The worker does not start, and says why.
    fn init(ctx: &InitContext) -> Result<Self>;

    /// Serves one call; with several lanes, calls overlap.
    ///
    /// Names that begin with an underscore, `init` and `close` never get here.
    ///
    /// # Errors
    ///
    /// Sent to the client as a `DirtyAppError`; the worker lives on, as it does after a panic.
    fn call<'a>(&'a self, call: &'a Call<'a>) -> Result<Reply<'a>>;

    /// Called once, when the last call has ended and the worker is about to exit in good order.
    fn close(&mut self) {}
}

/// A [`DirtyApp`] of any type.
pub trait ErasedApp: Send + Sync {
    /// [`DirtyApp::call`].
    ///
    /// # Errors
    ///
    /// See there.
    fn call<'a>(&'a self, call: &'a Call<'a>) -> Result<Reply<'a>, ActionError>;

    /// [`DirtyApp::close`].
    fn close(&mut self);
}

impl<T: DirtyApp> ErasedApp for T {
    fn call<'a>(&'a self, call: &'a Call<'a>) -> Result<Reply<'a>, ActionError> {
        DirtyApp::call(self, call)
    }

    fn close(&mut self) {
        DirtyApp::close(self);
    }
}

/// Whether clients may never call an action of this name, whatever the app.
pub(crate) fn is_reserved(action: &str) -> bool {
    action.starts_with('_') || matches!(action, "init" | "close")
}
