//! What stands in the parentheses of `#[dirty_app(…)]`.

use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Ident, LitInt, LitStr, Path, Token, bracketed};

/// The options of `#[dirty_app(…)]`.
#[derive(Default)]
pub(crate) struct AppOptions {
    /// `workers = 2`.
    pub(crate) workers: Option<LitInt>,
    /// `stashes = ["a", "b"]`.
    pub(crate) stashes: Vec<LitStr>,
    /// `crate = path`.
    pub(crate) krate: Option<Path>,
}

impl Parse for AppOptions {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut options = AppOptions::default();
        while !input.is_empty() {
            options.parse_one(input)?;
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(options)
    }
}

impl AppOptions {
    fn parse_one(&mut self, input: ParseStream<'_>) -> syn::Result<()> {
        if input.peek(Token![crate]) {
            input.parse::<Token![crate]>()?;
            input.parse::<Token![=]>()?;
            self.krate = Some(input.call(Path::parse_mod_style)?);
            return Ok(());
        }
        let name: Ident = input.parse()?;
        let known = ["workers", "stashes"];
        if !known.iter().any(|known| name == known) {
            let message = format!("unknown option `{name}`; allowed: workers, stashes, crate");
            return Err(syn::Error::new(name.span(), message));
        }
        input.parse::<Token![=]>()?;
        if name == "workers" {
            let workers: LitInt = input.parse()?;
            if workers.base10_parse::<u32>()? == 0 {
                return Err(syn::Error::new(workers.span(), "an app needs at least one worker"));
            }
            self.workers = Some(workers);
        } else {
            let list;
            bracketed!(list in input);
            self.stashes = Punctuated::<LitStr, Token![,]>::parse_terminated(&list)?.into_iter().collect();
        }
        Ok(())
    }
}
