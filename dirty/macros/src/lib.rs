//! The attribute macros of `gunmetal-dirty`: [`dirty_app`] and [`action`].
//!
//! `#[dirty_app]` sits on an inherent `impl` block and writes the `DirtyApp` implementation beside it; the block
//! itself stays as it is, so an action is still an ordinary method that tests can call. What the written `call` does
//! for one request:
//!
//! ```text
//! action name ─match→ Signature::bind ─→ one decoded argument per parameter ─→ self.method(…) ─→ Reply
//! ```
//!
//! The attributes and the rules of binding are described where users meet them, in the crate `gunmetal-dirty`.
#![forbid(unsafe_code)]

mod action;
mod app_block;
mod app_options;
mod expand;
mod parameter;
#[cfg(test)]
mod tests;

use proc_macro::TokenStream;
use quote::quote;
use syn::{ItemImpl, parse_macro_input};

/// Implements `DirtyApp` for the type of an inherent `impl` block.
///
/// Options: `workers = 2` (how many workers load the app), `stashes = ["name"]` (tables created at start) and
/// `crate = path` (where `gunmetal_dirty` is found, if neither it nor `gunmetal` is a dependency by that name).
#[proc_macro_attribute]
pub fn dirty_app(options: TokenStream, block: TokenStream) -> TokenStream {
    let options = parse_macro_input!(options as app_options::AppOptions);
    let block = parse_macro_input!(block as ItemImpl);
    expand::app(&options, app_block::AppBlock::parse(block)).into()
}

/// Marks a method of a `#[dirty_app]` block as an action that clients can call.
///
/// Option: `name = "other"`, the name clients use, if it is not the method's.
#[proc_macro_attribute]
pub fn action(_options: TokenStream, method: TokenStream) -> TokenStream {
    // `dirty_app` takes the attribute off the methods it handles: whoever gets here stands alone.
    let method = proc_macro2::TokenStream::from(method);
    let message = "`#[action]` works on a method of an `impl` block that carries `#[dirty_app]`";
    quote!(::core::compile_error!(#message); #method).into()
}
