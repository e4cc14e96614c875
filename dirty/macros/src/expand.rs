//! The written code.

use proc_macro_crate::{FoundCrate, crate_name};
use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Expr, Lit, Type, parse_quote};

use crate::action::{Action, Flavor};
use crate::app_block::AppBlock;
use crate::app_options::AppOptions;
use crate::parameter::{DefaultValue, Parameter, Source};

/// The block as it was, and the `DirtyApp` implementation beside it; or the block and what is wrong with it.
pub(crate) fn app(options: &AppOptions, block: AppBlock) -> TokenStream {
    let item = &block.item;
    if let Some(error) = &block.error {
        let error = error.to_compile_error();
        return quote!(#item #error);
    }
    let krate = match &options.krate {
        Some(path) => quote!(#path),
        None => match found_crate() {
            Ok(path) => path,
            Err(error) => {
                let error = error.to_compile_error();
                return quote!(#item #error);
            }
        },
    };
    let implementation = implementation(options, &block, &krate);
    quote! {
        #item
        #implementation
    }
}

fn implementation(options: &AppOptions, block: &AppBlock, krate: &TokenStream) -> TokenStream {
    let (generics, ty_where) = (&block.item.generics, &block.item.generics.where_clause);
    let ty = &block.item.self_ty;
    let workers = match &options.workers {
        Some(workers) => quote!(::core::option::Option::Some(#workers)),
        None => quote!(::core::option::Option::None),
    };
    let stashes = &options.stashes;
    let init = match block.init_arity {
        Some(0) => quote!(<#ty>::init()),
        _ => quote!(<#ty>::init(ctx)),
    };
    let close = block.close.map(|()| {
        quote! {
            fn close(&mut self) {
                <#ty>::close(self);
            }
        }
    });
    let arms = block.actions.iter().map(|action| arm(action, krate));
    let known = block.actions.iter().map(|Action { name, cfgs, .. }| quote!(#(#cfgs)* #name));
    quote! {
        #[automatically_derived]
        impl #generics #krate::DirtyApp for #ty #ty_where {
            const WORKERS: ::core::option::Option<u32> = #workers;
            const STASHES: &'static [&'static str] = &[#(#stashes),*];

            fn init(ctx: &#krate::InitContext) -> ::core::result::Result<Self, #krate::ActionError> {
                #[allow(unused_imports)]
                use #krate::__private::PlainOutcome as _;
                let _ = ctx;
                #krate::__private::Outcome(#init).into_result()
            }

            fn call<'call>(
                &'call self,
                call: &'call #krate::Call<'call>,
            ) -> ::core::result::Result<#krate::Reply<'call>, #krate::ActionError> {
                match call.action() {
                    #(#arms)*
                    _ => ::core::result::Result::Err(call.unknown_action(&[#(#known),*])),
                }
            }

            #close
        }
    }
}

fn arm(action: &Action, krate: &TokenStream) -> TokenStream {
    let Action { ident, name, cfgs, .. } = action;
    let named: Vec<&Parameter> = action
        .parameters
        .iter()
        .filter(|parameter| matches!(parameter.source, Source::Named { .. }))
        .collect();
    let params = named.iter().map(|parameter| declare(parameter, krate));
    let count = named.len();
    let has =
        |wanted: fn(&Source) -> bool| action.parameters.iter().any(|parameter| wanted(&parameter.source));
    let rest_args = has(|source| matches!(source, Source::RestArgs(_))).then(|| quote!(.with_rest_args()));
    let rest_kwargs =
        has(|source| matches!(source, Source::RestKwargs(_))).then(|| quote!(.with_rest_kwargs()));
    let values: Vec<_> = (0..action.parameters.len())
        .map(|index| format_ident!("argument_{}", index, span = Span::mixed_site()))
        .collect();
    let mut position = 0usize;
    let reads = action.parameters.iter().zip(&values).map(|(parameter, value)| {
        let read = read(parameter, position, krate);
        position += usize::from(matches!(parameter.source, Source::Named { .. }));
        quote!(let #value = #read;)
    });
    let call = quote!(Self::#ident(self, #(#values),*));
    // A type that cannot be sent is reported where the user wrote it.
    let at = action.output.resolved_at(Span::call_site());
    let reply_in = spanned(krate, at);
    let later = |reply| quote!(::core::result::Result::Ok(#krate::Reply::future(async move { #reply })));
    let reply = match action.flavor {
        Flavor::Sync => quote_spanned!(at=> #reply_in::__reply!(#call)),
        Flavor::Future => later(quote_spanned!(at=> #reply_in::__reply!(#call.await))),
        Flavor::InRuntime => later(quote_spanned!(at=> #reply_in::__reply!(#call))),
    };
    quote! {
        #(#cfgs)*
        #name => {
            const SIGNATURE: #krate::Signature<#count> =
                #krate::Signature::new(#name, [#(#params),*]) #rest_args #rest_kwargs;
            #[allow(unused_variables)]
            let bound = SIGNATURE.bind(call.args(), call.kwargs())?;
            #(#reads)*
            #reply
        }
    }
}

fn declare(parameter: &Parameter, krate: &TokenStream) -> TokenStream {
    let name = &parameter.name;
    let Source::Named { keyword_only, default } = &parameter.source else { return TokenStream::new() };
    let how = match default {
        Some(_) => quote!(optional),
        None => quote!(required),
    };
    let keyword_only = keyword_only.then(|| quote!(.keyword_only()));
    quote!(#krate::Param::#how(#name) #keyword_only)
}

/// An expression for the parameter's value; `position` counts the named ones.
fn read(parameter: &Parameter, position: usize, krate: &TokenStream) -> TokenStream {
    let Parameter { name, ty, source } = parameter;
    match source {
        Source::Named { default: None, .. } => {
            let decoded = decode(name, ty, krate);
            quote!({ let value = bound.required(#position)?; #decoded })
        }
        Source::Named { default: Some(default), .. } => {
            let decoded = decode(name, ty, krate);
            let default = default_value(default, ty);
            quote! {
                match bound.value(#position) {
                    ::core::option::Option::Some(value) => #decoded,
                    ::core::option::Option::None => { let default: #ty = #default; default }
                }
            }
        }
        Source::RestArgs(element) => {
            let decoded = decode(name, element, krate);
            quote! {{
                let mut rest: #ty = ::core::default::Default::default();
                for value in bound.rest_args() {
                    rest.push(#decoded);
                }
                rest
            }}
        }
        Source::RestKwargs(value_ty) => {
            // A `Dict` takes any string as key, a map its own type of key.
            let (key, value_ty) = match value_ty {
                None => (quote!(key), &parse_quote!(#krate::Value)),
                Some(ty) => (quote!(::core::convert::Into::into(key)), ty),
            };
            let decoded = decode(name, value_ty, krate);
            quote! {{
                let mut rest: #ty = ::core::default::Default::default();
                for (key, value) in bound.rest_kwargs() {
                    rest.insert(#key, #decoded);
                }
                rest
            }}
        }
        Source::Cancel => quote!(call.cancel()),
        Source::CancelOwned => quote!(::core::clone::Clone::clone(call.cancel())),
        Source::Call => quote!(call),
    }
}

/// An expression that converts `value` to `ty`.
fn decode(name: &str, ty: &Type, krate: &TokenStream) -> TokenStream {
    // A type that cannot be decoded is reported where the user wrote it.
    let at = ty.span().resolved_at(Span::call_site());
    let krate = spanned(krate, at);
    let expected = readable(&ty.to_token_stream().to_string());
    quote_spanned! {at=> {
        #[allow(unused_imports)]
        use #krate::__private::{ReadDirectly as _, ReadBySerde as _};
        (&#krate::__private::Argument::<#ty>::new(#name, #expected)).read(value, call)?
    }}
}

/// The same tokens, reported at `at`.
fn spanned(tokens: &TokenStream, at: Span) -> TokenStream {
    let respan = |mut token: TokenTree| {
        token.set_span(at);
        token
    };
    tokens.clone().into_iter().map(respan).collect()
}

fn default_value(default: &DefaultValue, ty: &Type) -> TokenStream {
    match default {
        DefaultValue::OfType => quote!(::core::default::Default::default()),
        // So that `#[default = "png"] format: String` says what it means.
        DefaultValue::Expr(Expr::Lit(literal)) if matches!(literal.lit, Lit::Str(_)) => {
            quote!(<#ty as ::core::convert::From<&'static str>>::from(#literal))
        }
        DefaultValue::Expr(expr) => quote!(#expr),
    }
}

/// A type as a person writes it: token streams put spaces everywhere.
fn readable(tokens: &str) -> String {
    let mut text = String::with_capacity(tokens.len());
    for word in tokens.split(' ') {
        let glued = word.starts_with(['<', '>', ',', ':', ';', ')', ']'])
            || text.ends_with(['<', '(', '[', '&'])
            || text.ends_with("::")
            || text.is_empty();
        if !glued {
            text.push(' ');
        }
        text.push_str(word);
    }
    text.replace("&'_ ", "&").replace("<'_>", "")
}

/// Where the user's crate finds `gunmetal_dirty`: directly, or through `gunmetal::dirty`.
fn found_crate() -> syn::Result<TokenStream> {
    let path = |name: &str| syn::parse_str::<syn::Ident>(name);
    if let Ok(found) = crate_name("gunmetal-dirty") {
        let name = match &found {
            FoundCrate::Itself => "gunmetal_dirty",
            FoundCrate::Name(name) => name,
        };
        let name = path(name)?;
        return Ok(quote!(::#name));
    }
    match crate_name("gunmetal") {
        Ok(FoundCrate::Itself) => Ok(quote!(::gunmetal::dirty)),
        Ok(FoundCrate::Name(name)) => {
            let name = path(&name)?;
            Ok(quote!(::#name::dirty))
        }
        Err(error) => {
            let message = format!("{error}; name it with #[dirty_app(crate = path::to::gunmetal_dirty)]");
            Err(syn::Error::new(Span::call_site(), message))
        }
    }
}
