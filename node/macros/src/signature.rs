//! Which functions can be tasks, and what is said of those that cannot.

use proc_macro2::Ident;
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::{Attribute, Error, FnArg, ItemFn, Meta, Pat, PatType, Result, ReturnType, Type};

/// Most that a handler can take of its context: for more there is no implementation.
const TAKEN_MAX: usize = 6;

/// What a task needs to know of its function.
pub(crate) struct Signature {
    /// The types of what it takes of the context of the run, before the arguments.
    pub(crate) taken: Vec<Type>,
    /// What those are called here, as far as they have a name.
    pub(crate) taken_names: Vec<Ident>,
    /// The arguments that travel.
    pub(crate) args: Vec<(Ident, Type)>,
    /// The names of those that are never shown.
    pub(crate) redact: Vec<String>,
    /// What it returns.
    pub(crate) output: Type,
}

impl Signature {
    /// Reads the signature of `function`; all that is wrong with it is told at once.
    pub(crate) fn read(function: &ItemFn, blocking: bool) -> Result<Self> {
        let signature = &function.sig;
        let mut errors = Errors::default();
        match (&signature.asyncness, blocking) {
            (None, false) => errors.add(Error::new(
                signature.fn_token.span,
                "a task is an `async fn`; for code that blocks its thread write \
                 `#[umbel::task(blocking)]`",
            )),
            (Some(token), true) => {
                errors.add(Error::new(token.span(), "a `blocking` task is not `async`"));
            }
            (None, true) | (Some(_), false) => {}
        }
        if let Some(token) = &signature.constness {
            errors.add(Error::new(token.span(), "a task cannot be `const`"));
        }
        if !matches!(signature.safety, syn::Safety::Default) {
            errors.add(Error::new(
                signature.safety.span(),
                "a task cannot be `unsafe`: nobody is there to keep its contract",
            ));
        }
        if let Some(abi) = &signature.abi {
            errors.add(Error::new_spanned(abi, "a task cannot have a foreign calling convention"));
        }
        if !signature.generics.params.is_empty() {
            errors.add(Error::new_spanned(
                &signature.generics,
                "a task cannot be generic: its name stands for one function; \
                 write a task per type that calls the generic function",
            ));
        } else if let Some(clause) = &signature.generics.where_clause {
            errors.add(Error::new_spanned(clause, "a task cannot have a `where` clause"));
        }
        let (mut taken, mut taken_names) = (Vec::new(), Vec::new());
        let (mut args, mut redact) = (Vec::new(), Vec::new());
        let mut travels = false;
        for input in &signature.inputs {
            match read_parameter(input) {
                Ok(Parameter::Taken(_)) if travels => errors.add(Error::new_spanned(
                    input,
                    "this is taken of the context and does not travel: it comes before the \
                     arguments that do",
                )),
                Ok(Parameter::Taken(_)) if taken.len() == TAKEN_MAX => errors.add(Error::new_spanned(
                    input,
                    format!(
                        "a task takes at most {TAKEN_MAX} of the context: put several into one type \
                         that implements `umbel::FromContext`"
                    ),
                )),
                Ok(Parameter::Taken(kind)) => {
                    taken.push(kind.clone());
                    taken_names.extend(name_of(input));
                }
                Ok(Parameter::Travels { name, kind, is_hidden }) => {
                    travels = true;
                    args.push((name.clone(), kind.clone()));
                    if is_hidden {
                        redact.push(name.unraw().to_string());
                    }
                }
                Err(error) => errors.add(error),
            }
        }
        let output = match &signature.output {
            ReturnType::Type(_, output) => Some((**output).clone()),
            ReturnType::Default => {
                errors.add(Error::new(
                    signature.paren_token.span.close(),
                    "a task returns a `Result`: write `-> Result<(), umbel::TaskError>` \
                     if there is nothing to return",
                ));
                None
            }
        };
        errors.none()?;
        match output {
            Some(output) => Ok(Self { taken, taken_names, args, redact, output }),
            None => unreachable!("a missing return type is an error"),
        }
    }
}

/// What a parameter is for.
enum Parameter<'a> {
    /// It comes from the context of the run.
    Taken(&'a Type),
    /// It is an argument of each call.
    Travels {
        name: &'a Ident,
        kind: &'a Type,
        /// Whether it is never shown.
        is_hidden: bool,
    },
}

fn read_parameter(input: &FnArg) -> Result<Parameter<'_>> {
    let input = match input {
        FnArg::Typed(input) => input,
        FnArg::Receiver(receiver) => {
            return Err(Error::new_spanned(
                receiver,
                "a task cannot have a `self`: it may run in another process; \
                 pass what it needs as arguments",
            ));
        }
    };
    let kind = &*input.ty;
    let is_hidden = is_hidden(input)?;
    if is_taken(input)? {
        if is_hidden {
            return Err(Error::new_spanned(
                input,
                "what is taken of the context does not travel, and is shown nowhere: leave out \
                 `#[redact]`",
            ));
        }
        return match kind {
            Type::Reference(_) => {
                Err(Error::new_spanned(kind, "what is taken of the context is taken by value"))
            }
            Type::ImplTrait(_) => Err(Error::new_spanned(
                kind,
                "what is taken of the context is found by its type: name that",
            )),
            _ => Ok(Parameter::Taken(kind)),
        };
    }
    match kind {
        Type::Reference(_) => {
            return Err(Error::new_spanned(
                kind,
                "the arguments of a task travel: take an owned value, as `String` for `&str`",
            ));
        }
        Type::ImplTrait(_) => {
            return Err(Error::new_spanned(
                kind,
                "the arguments of a task are read from JSON: name the type",
            ));
        }
        _ => {}
    }
    match &*input.pat {
        Pat::Ident(pat) if pat.by_ref.is_none() && pat.subpat.is_none() => {
            Ok(Parameter::Travels { name: &pat.ident, kind, is_hidden })
        }
        other => Err(Error::new_spanned(
            other,
            "an argument of a task needs a plain name, by which callers can give it; \
             take it apart in the body",
        )),
    }
}

/// What a parameter is called, if it has a plain name.
fn name_of(input: &FnArg) -> Option<Ident> {
    match input {
        FnArg::Typed(input) => match &*input.pat {
            Pat::Ident(pat) => Some(pat.ident.clone()),
            _ => None,
        },
        FnArg::Receiver(_) => None,
    }
}

/// The name that people mean by `ident`.
pub(crate) fn unraw(ident: &Ident) -> String {
    let text = ident.to_string();
    text.strip_prefix("r#").map_or_else(|| text.clone(), str::to_owned)
}

/// Whether it comes from the context: by its attribute, or by the name of its type.
fn is_taken(input: &PatType) -> Result<bool> {
    let Some(attribute) = input.attrs.iter().find(|attribute| is_from_context(attribute)) else {
        return Ok(is_of_context(&input.ty));
    };
    match &attribute.meta {
        Meta::Path(_) => Ok(true),
        other => Err(Error::new_spanned(other, "`#[from_context]` takes nothing")),
    }
}

/// Whether it has the attribute that says that it is never shown.
fn is_hidden(input: &PatType) -> Result<bool> {
    let Some(attribute) = input.attrs.iter().find(|attribute| is_redact(attribute)) else {
        return Ok(false);
    };
    match &attribute.meta {
        Meta::Path(_) => Ok(true),
        other => Err(Error::new_spanned(other, "`#[redact]` takes nothing")),
    }
}

/// Whether it is the other attribute that only means something to `#[task]`.
fn is_redact(attribute: &Attribute) -> bool {
    attribute.path().is_ident("redact")
}

/// Whether it is the attribute that only means something to `#[task]`.
fn is_from_context(attribute: &Attribute) -> bool {
    attribute.path().is_ident("from_context")
}

fn is_of_context(kind: &Type) -> bool {
    match kind {
        Type::Path(path) => {
            let last = path.path.segments.last();
            last.is_some_and(|last| last.ident == "Context" || last.ident == "State")
        }
        Type::Reference(reference) => is_of_context(&reference.elem),
        _ => false,
    }
}

/// Takes from `function` the attributes that the compiler does not know.
pub(crate) fn strip(function: &mut ItemFn) {
    for input in &mut function.sig.inputs {
        if let FnArg::Typed(input) = input {
            input.attrs.retain(|attribute| !is_from_context(attribute) && !is_redact(attribute));
        }
    }
}

/// Errors that are reported together.
#[derive(Default)]
pub(crate) struct Errors(Option<Error>);

impl Errors {
    pub(crate) fn add(&mut self, error: Error) {
        match &mut self.0 {
            Some(errors) => errors.combine(error),
            None => self.0 = Some(error),
        }
    }

    /// All of them, unless there are none.
    pub(crate) fn none(self) -> Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}
