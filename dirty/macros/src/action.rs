//! One action: a method marked `#[action]`.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{
    Attribute, FnArg, ImplItemFn, LitStr, Meta, PatType, ReceiverKind, ReturnType, Signature, Token, Type,
    TypeParamBound,
};

use crate::parameter::{Parameter, Source};

/// A method that clients can call.
pub(crate) struct Action {
    /// The method.
    pub(crate) ident: syn::Ident,
    /// The name clients use.
    pub(crate) name: String,
    /// `#[cfg]`s of the method, repeated where it is dispatched.
    pub(crate) cfgs: Vec<Attribute>,
    /// How it is called.
    pub(crate) flavor: Flavor,
    /// Where its return type is written.
    pub(crate) output: Span,
    /// What it takes, after `&self`.
    pub(crate) parameters: Vec<Parameter>,
}

/// How a method is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavor {
    /// On the lane's thread.
    Sync,
    /// It yields a future.
    Future,
    /// It yields a stream: called where the runtime can be seen, since timers and sockets are made there.
    InRuntime,
}

impl Action {
    /// Reads an action and takes its attributes off; `None` if the method is not one.
    pub(crate) fn take(method: &mut ImplItemFn) -> syn::Result<Option<Self>> {
        let Some(at) = method.attrs.iter().position(|attr| is_action(attr.path())) else { return Ok(None) };
        let attribute = method.attrs.remove(at);
        // Parameters lose their attributes even if something else is wrong: rustc would complain about them too.
        let parameters = take_parameters(&mut method.sig.inputs);
        let sig = &method.sig;
        let name = match renamed(&attribute)? {
            Some(name) => name.value(),
            None => bare(&sig.ident),
        };
        check_name(&name, sig)?;
        check_shape(sig)?;
        let cfgs = method.attrs.iter().filter(|attr| attr.path().is_ident("cfg")).cloned().collect();
        let flavor = if sig.asyncness.is_some() || returns_future(&sig.output) {
            Flavor::Future
        } else if mentions_stream(sig.output.to_token_stream()) {
            Flavor::InRuntime
        } else {
            Flavor::Sync
        };
        let output = match &sig.output {
            ReturnType::Default => sig.ident.span(),
            ReturnType::Type(_, ty) => ty.span(),
        };
        Ok(Some(Action { ident: sig.ident.clone(), name, cfgs, flavor, output, parameters: parameters? }))
    }
}

/// An identifier without `r#`.
pub(crate) fn bare(ident: &syn::Ident) -> String {
    let text = ident.to_string();
    text.strip_prefix("r#").map(str::to_owned).unwrap_or(text)
}

fn is_action(path: &syn::Path) -> bool {
    path.segments.last().is_some_and(|segment| segment.ident == "action")
}

fn renamed(attribute: &Attribute) -> syn::Result<Option<LitStr>> {
    if matches!(attribute.meta, Meta::Path(_)) {
        return Ok(None);
    }
    let mut name = None;
    attribute.parse_nested_meta(|meta| {
        if !meta.path.is_ident("name") {
            return Err(meta.error("unknown option; allowed: name"));
        }
        name = Some(meta.value()?.parse()?);
        Ok(())
    })?;
    Ok(name)
}

fn check_name(name: &str, sig: &Signature) -> syn::Result<()> {
    let message = match name {
        "init" | "close" => format!("`{name}` is called by the worker and cannot be an action"),
        _ if name.starts_with('_') => {
            format!("`{name}` cannot be an action: a leading underscore means private")
        }
        "" => "an action needs a name".to_owned(),
        _ => return Ok(()),
    };
    Err(syn::Error::new_spanned(&sig.ident, message))
}

fn check_shape(sig: &Signature) -> syn::Result<()> {
    let shared =
        sig.receiver().is_some_and(|receiver| matches!(receiver.kind, ReceiverKind::Reference(.., None)));
    if !shared {
        let message =
            "an action takes `&self`: calls on different lanes overlap (keep state in locks or atomics)";
        return match sig.inputs.first() {
            Some(first) => Err(syn::Error::new_spanned(first, message)),
            None => Err(syn::Error::new_spanned(&sig.ident, message)),
        };
    }
    let has_types =
        sig.generics.type_params().next().is_some() || sig.generics.const_params().next().is_some();
    if has_types {
        let message = "an action has no type parameters: its arguments are decoded to concrete types";
        return Err(syn::Error::new_spanned(&sig.generics, message));
    }
    Ok(())
}

fn returns_future(output: &ReturnType) -> bool {
    let ReturnType::Type(_, ty) = output else { return false };
    let Type::ImplTrait(opaque) = &**ty else { return false };
    opaque.bounds.iter().any(|bound| {
        let TypeParamBound::Trait(bound) = bound else { return false };
        bound.path.segments.last().is_some_and(|segment| segment.ident == "Future")
    })
}

/// Whether the return type mentions a stream, by name: the method may need the runtime to make it.
fn mentions_stream(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident.to_string().ends_with("Stream"),
        TokenTree::Group(group) => mentions_stream(group.stream()),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

fn take_parameters(inputs: &mut Punctuated<FnArg, Token![,]>) -> syn::Result<Vec<Parameter>> {
    let mut parameters: Vec<Parameter> = Vec::new();
    let mut errors: Option<syn::Error> = None;
    for input in inputs {
        let FnArg::Typed(input) = input else { continue };
        match Parameter::take(input).and_then(|parameter| in_order(parameter, &parameters, input)) {
            Ok(parameter) => parameters.push(parameter),
            Err(error) => match &mut errors {
                Some(first) => first.combine(error),
                none => *none = Some(error),
            },
        }
    }
    match errors {
        Some(error) => Err(error),
        None => Ok(parameters),
    }
}

/// Python's rules of order: `#[args]` makes what follows keyword-only, `#[kwargs]` ends the list, and a positional
/// parameter without default does not follow one with.
fn in_order(mut new: Parameter, before: &[Parameter], input: &PatType) -> syn::Result<Parameter> {
    let has = |wanted: fn(&Source) -> bool| before.iter().any(|known| wanted(&known.source));
    let after_args = has(|source| matches!(source, Source::RestArgs(_)));
    let after_kwargs = has(|source| matches!(source, Source::RestKwargs(_)));
    let wrong = |message: &str| Err(syn::Error::new_spanned(input, message));
    match &mut new.source {
        Source::Named { keyword_only, default } => {
            if after_kwargs {
                return wrong("`#[kwargs]` takes what is left: no argument follows it");
            }
            *keyword_only = after_args;
            let after_default = has(|source| matches!(source, Source::Named { default: Some(_), .. }));
            if !after_args && default.is_none() && after_default {
                return wrong("an argument without default follows one with: give it one or move it up");
            }
        }
        Source::RestArgs(_) if after_args => return wrong("a second `#[args]`"),
        Source::RestArgs(_) if after_kwargs => return wrong("`#[args]` goes before `#[kwargs]`"),
        Source::RestKwargs(_) if after_kwargs => return wrong("a second `#[kwargs]`"),
        Source::RestArgs(_) | Source::RestKwargs(_) | Source::Cancel | Source::CancelOwned | Source::Call => {
        }
    }
    Ok(new)
}
