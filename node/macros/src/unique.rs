//! What `unique_by` and the options beside it say: of which arguments the key of a task is made, for how
//! long it keeps others out, and what becomes of those.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::ext::IdentExt as _;
use syn::meta::ParseNestedMeta;
use syn::parse::Parser as _;
use syn::{Error, Ident, Lit, LitStr, Result};

use crate::options::read;
use crate::signature::{Errors, Signature, unraw};

/// Most arguments that one key is made of: tuples are written as JSON up to this length.
const BY_MAX: usize = 16;

/// What makes a task unique.
#[derive(Default)]
pub(crate) struct Unique {
    /// The arguments that its key is made of.
    pub(crate) by: Option<Vec<Name>>,
    pub(crate) until: Option<Until>,
    pub(crate) if_exists: Option<IfExists>,
}

/// The name of an argument, and where it stands.
pub(crate) struct Name {
    pub(crate) text: String,
    pub(crate) span: Span,
}

/// For how long others are kept out.
pub(crate) enum Until {
    Started,
    Finished,
    /// So many milliseconds.
    For(u64),
}

/// What becomes of another one.
pub(crate) enum IfExists {
    Existing,
    Replace,
    Refuse,
}

impl Unique {
    /// Whether something is said of a key that there is not.
    pub(crate) const fn lacks_key(&self) -> bool {
        self.by.is_none() && (self.until.is_some() || self.if_exists.is_some())
    }

    /// The arguments that the key is made of, in the order in which they were named; all that is wrong
    /// with the names is told at once.
    pub(crate) fn key(&self, signature: &Signature) -> Result<Vec<Ident>> {
        let mut key = Vec::new();
        let mut errors = Errors::default();
        for name in self.by.iter().flatten() {
            match signature.args.iter().find(|(arg, _)| unraw(arg) == name.text) {
                Some((arg, _)) => key.push(arg.clone()),
                None => errors.add(Error::new(name.span, why_not(&name.text, signature))),
            }
        }
        errors.none().map(|()| key)
    }

    /// As it stands in the settings of the task.
    pub(crate) fn until(&self, work: &TokenStream) -> Option<TokenStream> {
        self.until.as_ref().map(|until| match until {
            Until::Started => quote! { #work::declare::UniqueScope::UntilStarted },
            Until::Finished => quote! { #work::declare::UniqueScope::UntilFinished },
            Until::For(millis) => quote! {
                #work::declare::UniqueScope::For(#work::declare::Span::from_millis(#millis))
            },
        })
    }

    /// As it stands in the settings of the task.
    pub(crate) fn if_exists(&self, work: &TokenStream) -> Option<TokenStream> {
        self.if_exists.as_ref().map(|policy| match policy {
            IfExists::Existing => quote! { #work::declare::UniquePolicy::Existing },
            IfExists::Replace => quote! { #work::declare::UniquePolicy::Replace },
            IfExists::Refuse => quote! { #work::declare::UniquePolicy::Refuse },
        })
    }
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

/// Names of arguments, separated by commas.
pub(crate) fn by(meta: &ParseNestedMeta<'_>) -> Result<Vec<Name>> {
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
    Ok(names)
}

/// For how long.
pub(crate) fn until(meta: &ParseNestedMeta<'_>) -> Result<Until> {
    let literal: LitStr = meta.value()?.parse()?;
    match literal.value().as_str() {
        "started" => Ok(Until::Started),
        "finished" => Ok(Until::Finished),
        _ => match read(&Lit::Str(literal.clone())) {
            Ok(millis @ 1..=SPAN_MS_MAX) => Ok(Until::For(millis)),
            Ok(_) => Err(Error::new(literal.span(), "must be 1 ms to 366 days")),
            Err(_) => Err(Error::new(
                literal.span(),
                "write \"started\", \"finished\", or for how long at the least, as in \"1h\"",
            )),
        },
    }
}

/// What becomes of another.
pub(crate) fn if_exists(meta: &ParseNestedMeta<'_>) -> Result<IfExists> {
    let literal: LitStr = meta.value()?.parse()?;
    match literal.value().as_str() {
        "existing" => Ok(IfExists::Existing),
        "replace" => Ok(IfExists::Replace),
        "refuse" => Ok(IfExists::Refuse),
        _ => Err(Error::new(literal.span(), "write \"existing\", \"replace\" or \"refuse\"")),
    }
}

/// 366 days.
const SPAN_MS_MAX: u64 = 366 * 86_400_000;
