//! Keys that are made of arguments: which of them, as `unique_by`, `limit_by` and `fair_by` name them.

use proc_macro2::Span;
use syn::ext::IdentExt as _;
use syn::meta::ParseNestedMeta;
use syn::parse::Parser as _;
use syn::{Error, Ident, LitStr, Result};

use crate::options::Options;
use crate::signature::{Errors, Signature, unraw};

/// Most arguments that one key is made of: tuples are written as JSON up to this length.
const BY_MAX: usize = 16;

/// The arguments of which a key is made, as they were named.
pub(crate) struct By(Vec<Name>);

/// The name of an argument, and where it stands.
struct Name {
    text: String,
    span: Span,
}

/// A key of each call.
pub(crate) struct Key {
    /// The method of a call that takes it.
    pub(crate) method: &'static str,
    /// The arguments that it is made of, in the order in which they were named; at least one.
    pub(crate) args: Vec<Ident>,
}

/// Names of arguments, separated by commas.
pub(crate) fn by(meta: &ParseNestedMeta<'_>) -> Result<By> {
    let literal: LitStr = meta.value()?.parse()?;
    let (text, span) = (literal.value(), literal.span());
    let mut names: Vec<Name> = Vec::new();
    for name in text.split(',').map(str::trim) {
        if name.is_empty() {
            let message = "name one of the arguments, or several, separated by commas, as in \
                           \"user_id\" or \"user_id, month\"";
            return Err(Error::new(span, message));
        }
        // A keyword may be the name of a raw one.
        let Ok(ident) = Ident::parse_any.parse_str(name) else {
            let message =
                format!("`{name}` is not the name of an argument; separate several by commas");
            return Err(Error::new(span, message));
        };
        let text = unraw(&ident);
        if names.iter().any(|known| known.text == text) {
            return Err(Error::new(span, format!("`{text}` is named twice")));
        }
        names.push(Name { text, span });
    }
    if names.len() > BY_MAX {
        return Err(Error::new(span, format!("a key is made of at most {BY_MAX} arguments")));
    }
    Ok(By(names))
}

/// All keys that `options` ask for; all that is wrong with the names in them is told at once.
pub(crate) fn keys(options: &Options, signature: &Signature) -> Result<Vec<Key>> {
    let asked = [
        ("unique", &options.unique.by),
        ("limit_key", &options.limits.by),
        ("fairness_key", &options.fair_by),
    ];
    let mut keys = Vec::new();
    let mut errors = Errors::default();
    for (method, by) in asked {
        let Some(By(names)) = by else {
            continue;
        };
        let mut args = Vec::new();
        for name in names {
            match signature.args.iter().find(|(arg, _)| unraw(arg) == name.text) {
                Some((arg, _)) => args.push(arg.clone()),
                None => errors.add(Error::new(name.span, why_not(&name.text, signature))),
            }
        }
        keys.push(Key { method, args });
    }
    errors.none().map(|()| keys)
}

/// Why there is no key of the parameter `name`.
fn why_not(name: &str, signature: &Signature) -> String {
    if signature.taken_names.iter().any(|taken| unraw(taken) == name) {
        return format!(
            "`{name}` does not travel: it is found where the task runs, long after its key was made; \
             name arguments of the call"
        );
    }
    let args: Vec<_> = signature.args.iter().map(|(arg, _)| format!("`{}`", unraw(arg))).collect();
    match args.as_slice() {
        [] => format!("there is no argument `{name}`: this task has none"),
        args => format!("there is no argument `{name}`: this task has {}", args.join(", ")),
    }
}
