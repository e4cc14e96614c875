//! One parameter of an action, and where its value comes from.

use syn::visit_mut::{VisitMut, visit_type_mut};
use syn::{Attribute, Expr, GenericArgument, Lifetime, Meta, Pat, PatType, PathArguments, PathSegment, Type};

use crate::action::bare;

/// A parameter after `&self`.
pub(crate) struct Parameter {
    /// The name clients use.
    pub(crate) name: String,
    /// Its type, with every lifetime replaced by `'_`.
    pub(crate) ty: Type,
    /// Where the value comes from.
    pub(crate) source: Source,
}

/// Where a parameter's value comes from.
pub(crate) enum Source {
    /// The caller, by position or name.
    Named {
        /// After `#[args]`, only by name.
        keyword_only: bool,
        /// What to use if the caller gives none.
        default: Option<DefaultValue>,
    },
    /// Positional arguments that no other parameter took; the type is the element's.
    RestArgs(Type),
    /// Keyword arguments that no other parameter took; the type is the value's, `None` for a `Dict`.
    RestKwargs(Option<Type>),
    /// `&CancelToken`.
    Cancel,
    /// `CancelToken`.
    CancelOwned,
    /// `&Call`.
    Call,
}

/// What `#[default]` asks for.
pub(crate) enum DefaultValue {
    /// `#[default]`: the type's own.
    OfType,
    /// `#[default = expr]`.
    Expr(Expr),
}

impl Parameter {
    /// Reads a parameter and takes its attributes off.
    pub(crate) fn take(input: &mut PatType) -> syn::Result<Self> {
        let mut marks = Vec::new();
        input.attrs.retain(|attr| {
            let ours = ["default", "args", "kwargs"].iter().any(|name| attr.path().is_ident(name));
            if ours {
                marks.push(attr.clone());
            }
            !ours
        });
        let Pat::Ident(pattern) = &*input.pat else {
            let message = "an action's parameter needs a plain name: clients may pass it by name";
            return Err(syn::Error::new_spanned(&input.pat, message));
        };
        let name = bare(&pattern.ident);
        let mut ty = (*input.ty).clone();
        let mut eraser = LifetimeEraser { error: None };
        eraser.visit_type_mut(&mut ty);
        if let Some(error) = eraser.error {
            return Err(error);
        }
        if let Some(second) = marks.get(1) {
            let message = "one of `#[default]`, `#[args]`, `#[kwargs]` is enough";
            return Err(syn::Error::new_spanned(second, message));
        }
        let source = match marks.first() {
            Some(mark) => marked(mark, &ty)?,
            None => by_type(&ty).unwrap_or(Source::Named { keyword_only: false, default: None }),
        };
        Ok(Parameter { name, ty, source })
    }
}

fn marked(mark: &Attribute, ty: &Type) -> syn::Result<Source> {
    if by_type(ty).is_some() {
        return Err(syn::Error::new_spanned(
            mark,
            "this parameter comes from the worker, not from the caller",
        ));
    }
    let default = |value| Ok(Source::Named { keyword_only: false, default: Some(value) });
    if mark.path().is_ident("default") {
        return match &mark.meta {
            Meta::Path(_) => default(DefaultValue::OfType),
            Meta::NameValue(pair) => default(DefaultValue::Expr(pair.value.clone())),
            Meta::List(_) => Err(syn::Error::new_spanned(mark, "write `#[default = value]` or `#[default]`")),
        };
    }
    mark.meta.require_path_only()?;
    let last = last_segment(ty);
    if mark.path().is_ident("args") {
        return match last.filter(|last| last.ident == "Vec").and_then(last_type_argument) {
            Some(element) => Ok(Source::RestArgs(element.clone())),
            None => {
                Err(syn::Error::new_spanned(ty, "`#[args]` collects into a `Vec<…>`, such as `Vec<Value>`"))
            }
        };
    }
    match last {
        Some(last) if last.ident == "Dict" => Ok(Source::RestKwargs(None)),
        Some(last) if last.ident.to_string().ends_with("Map") && last_type_argument(last).is_some() => {
            Ok(Source::RestKwargs(last_type_argument(last).cloned()))
        }
        _ => Err(syn::Error::new_spanned(
            ty,
            "`#[kwargs]` collects into a `Dict` or a map such as `HashMap<String, …>`",
        )),
    }
}

/// Parameters recognised by their type alone.
fn by_type(ty: &Type) -> Option<Source> {
    match ty {
        Type::Reference(reference) => {
            let last = last_segment(&reference.elem)?;
            match last.ident.to_string().as_str() {
                "CancelToken" => Some(Source::Cancel),
                "Call" => Some(Source::Call),
                _ => None,
            }
        }
        _ => last_segment(ty).filter(|last| last.ident == "CancelToken").map(|_| Source::CancelOwned),
    }
}

fn last_segment(ty: &Type) -> Option<&PathSegment> {
    match ty {
        Type::Path(path) => path.path.segments.last(),
        _ => None,
    }
}

fn last_type_argument(segment: &PathSegment) -> Option<&Type> {
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else { return None };
    arguments.args.iter().rev().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

/// Replaces every lifetime by `'_`: the dispatch has none of the method's own.
struct LifetimeEraser {
    /// A type that no argument can have.
    error: Option<syn::Error>,
}

impl VisitMut for LifetimeEraser {
    fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
        if lifetime.ident != "static" {
            *lifetime = Lifetime::new("'_", lifetime.span());
        }
    }

    fn visit_type_mut(&mut self, ty: &mut Type) {
        match ty {
            Type::ImplTrait(opaque) => {
                let message = "an action's argument needs a concrete type to be decoded to";
                self.error = Some(syn::Error::new_spanned(opaque, message));
            }
            Type::Reference(reference)
                if reference.lifetime.as_ref().is_some_and(|name| name.ident == "static") =>
            {
                let message = "an argument borrows from its request and cannot be `'static`";
                self.error = Some(syn::Error::new_spanned(reference, message));
            }
            _ => visit_type_mut(self, ty),
        }
    }
}
