//! What `unique_by` and the options beside it say: of which arguments the key of a task is made, for how
//! long it keeps others out, and what becomes of those.

use proc_macro2::TokenStream;
use quote::quote;
use syn::meta::ParseNestedMeta;
use syn::{Error, Lit, LitStr, Result};

use crate::keys::By;
use crate::options::read;

/// What makes a task unique.
#[derive(Default)]
pub(crate) struct Unique {
    /// The arguments that its key is made of.
    pub(crate) by: Option<By>,
    pub(crate) until: Option<Until>,
    pub(crate) if_exists: Option<IfExists>,
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
