//! Which functions can be tasks, and what is said of those that cannot.

use proc_macro2::Ident;
use syn::spanned::Spanned as _;
use syn::{Error, FnArg, ItemFn, Pat, Result, ReturnType, Type};

/// What a task needs to know of its function.
pub(crate) struct Signature {
    /// Whether the first argument is the context of the run.
    pub(crate) takes_context: bool,
    /// The arguments that travel.
    pub(crate) args: Vec<(Ident, Type)>,
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
        let mut takes_context = false;
        let mut args = Vec::new();
        for (position, input) in signature.inputs.iter().enumerate() {
            match read_arg(input, position) {
                Ok(None) => takes_context = true,
                Ok(Some(arg)) => args.push(arg),
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
        match (errors.0, output) {
            (None, Some(output)) => Ok(Self { takes_context, args, output }),
            (Some(error), _) => Err(error),
            (None, None) => unreachable!("a missing return type is an error"),
        }
    }
}

/// The argument that travels, or nothing for the context.
fn read_arg(input: &FnArg, position: usize) -> Result<Option<(Ident, Type)>> {
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
    if is_context(kind) {
        if position == 0 {
            return Ok(None);
        }
        return Err(Error::new_spanned(kind, "the `Context` comes first"));
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
            Ok(Some((pat.ident.clone(), kind.clone())))
        }
        other => Err(Error::new_spanned(
            other,
            "an argument of a task needs a plain name, by which callers can give it; \
             take it apart in the body",
        )),
    }
}

fn is_context(kind: &Type) -> bool {
    let Type::Path(path) = kind else { return false };
    path.path.segments.last().is_some_and(|last| last.ident == "Context")
}

/// Errors that are reported together.
#[derive(Default)]
struct Errors(Option<Error>);

impl Errors {
    fn add(&mut self, error: Error) {
        match &mut self.0 {
            Some(errors) => errors.combine(error),
            None => self.0 = Some(error),
        }
    }
}
