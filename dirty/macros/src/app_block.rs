//! The `impl` block of an app, taken apart.

use syn::{FnArg, ImplItem, ImplItemFn, ItemImpl, ReceiverKind};

use crate::action::Action;

/// An `impl` block with its actions found and the macro's own attributes taken off.
pub(crate) struct AppBlock {
    /// The block as it is to be compiled.
    pub(crate) item: ItemImpl,
    /// Its actions, in order of appearance.
    pub(crate) actions: Vec<Action>,
    /// How many arguments `init` takes (0 or 1); `None` without `init`.
    pub(crate) init_arity: Option<usize>,
    /// Whether there is a `close`.
    pub(crate) close: Option<()>,
    /// Everything found wrong.
    pub(crate) error: Option<syn::Error>,
}

impl AppBlock {
    /// Takes the block apart; errors are collected, so that the user sees all of them at once.
    pub(crate) fn parse(item: ItemImpl) -> Self {
        let mut block = AppBlock { item, actions: Vec::new(), init_arity: None, close: None, error: None };
        if let Some((path, _)) = &block.item.trait_ {
            let message =
                "`#[dirty_app]` goes on an inherent `impl` block; it writes the trait's implementation";
            let error = syn::Error::new_spanned(path, message);
            block.report(error);
            return block;
        }
        let mut items = std::mem::take(&mut block.item.items);
        for item in &mut items {
            if let ImplItem::Fn(method) = item
                && let Err(error) = block.take_method(method)
            {
                block.report(error);
            }
        }
        block.item.items = items;
        if block.init_arity.is_none() {
            let message =
                "a dirty app needs `fn init(ctx: &InitContext) -> Result<Self>`, called once per worker";
            let error = syn::Error::new_spanned(&block.item.self_ty, message);
            block.report(error);
        }
        block
    }

    fn take_method(&mut self, method: &mut ImplItemFn) -> syn::Result<()> {
        let action = Action::take(method)?;
        if let Some(action) = action {
            if let Some(twin) = self.actions.iter().find(|known| known.name == action.name) {
                let message = format!("two actions are called `{}`", twin.name);
                return Err(syn::Error::new_spanned(&method.sig.ident, message));
            }
            self.actions.push(action);
        } else if method.sig.ident == "init" {
            self.init_arity = Some(check_init(method)?);
        } else if method.sig.ident == "close" {
            check_close(method)?;
            self.close = Some(());
        }
        Ok(())
    }

    fn report(&mut self, error: syn::Error) {
        match &mut self.error {
            Some(first) => first.combine(error),
            none => *none = Some(error),
        }
    }
}

fn check_init(method: &ImplItemFn) -> syn::Result<usize> {
    let sig = &method.sig;
    let wrong = |message: &str| Err(syn::Error::new_spanned(sig, message));
    if sig.receiver().is_some() || sig.inputs.len() > 1 {
        // Reported, yet counted as present: one mistake, one message.
        return wrong("`init` makes the app: it takes `&InitContext` or nothing, and returns `Result<Self>`");
    }
    if sig.asyncness.is_some() {
        return wrong("`init` is not async: use `ctx.block_on(…)` for asynchronous work");
    }
    Ok(sig.inputs.len())
}

fn check_close(method: &ImplItemFn) -> syn::Result<()> {
    let by_mut = |arg: &FnArg| matches!(arg, FnArg::Receiver(receiver) if matches!(receiver.kind, ReceiverKind::Reference(.., Some(_))));
    let sig = &method.sig;
    if sig.asyncness.is_some() || sig.inputs.len() != 1 || !sig.inputs.iter().all(by_mut) {
        return Err(syn::Error::new_spanned(sig, "`close` is `fn close(&mut self)`"));
    }
    Ok(())
}
