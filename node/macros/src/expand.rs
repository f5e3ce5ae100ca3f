//! The code that `#[task]` writes.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{Error, Ident, ItemFn, Result, Type};

use crate::keys::{Key, keys};
use crate::options::Options;
use crate::signature::{Signature, strip, unraw};

/// The function in `item`, without the attributes that are for us, and the task of the same name
/// beside it.
///
/// When the function cannot be a task it is still written out, so that the error is the only one.
pub(crate) fn task(options: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let mut function: ItemFn = syn::parse2(item).map_err(|error| {
        Error::new(error.span(), format!("`#[umbel::task]` goes on a function: {error}"))
    })?;
    let read = Options::parse(options).and_then(|options| {
        let signature = Signature::read(&function, options.blocking)?;
        let keys = keys(&options, &signature)?;
        Ok((options, signature, keys))
    });
    strip(&mut function);
    Ok(match read {
        Ok((options, signature, keys)) => {
            let declaration = declare(&function, &options, &signature, &keys);
            quote! { #function #declaration }
        }
        // A method is no item of its own: written out it would only add to the errors.
        Err(error) if function.sig.receiver().is_some() => error.into_compile_error(),
        Err(error) => {
            let error = error.into_compile_error();
            quote! { #[allow(dead_code)] #function #error }
        }
    })
}

fn declare(
    function: &ItemFn,
    options: &Options,
    signature: &Signature,
    keys: &[Key],
) -> TokenStream {
    let work = quote! { ::umbel::work };
    let ident = &function.sig.ident;
    let vis = &function.vis;
    let name = options.name.clone().unwrap_or_else(|| unraw(ident));
    let about = format!("The task `{name}`, which runs the function of this name.");
    let names: Vec<_> = signature.args.iter().map(|(name, _)| name).collect();
    let kinds: Vec<_> = signature.args.iter().map(|(_, kind)| kind).collect();
    let output = &signature.output;
    // Of a result that is dropped there is nothing to be told but that the task has succeeded.
    let output = if options.ignore_result {
        quote! { () }
    } else {
        quote_spanned! { output.span() => <#output as #work::TaskReturn>::Output }
    };
    // Says of a type that cannot be taken just that, and where.
    let takes = signature.taken.iter().map(|kind| {
        quote_spanned! { kind.span() => const _: () = #work::declare::taken::<#kind>(); }
    });
    // As written here, so that an argument may have the same name.
    let client = Ident::new("client", Span::mixed_site());
    let Travel { item, kind, value, take } = travel(&names, &kinds);
    let call = call(options, keys, &value, &work);
    let redact = hidden(options, signature);
    let template = template(options, &redact, &work);
    let resource = options.resource.as_ref().map(|name| quote! { .resource(#name) });
    let handler = handler(function, signature, &kind, &take);
    let from = if options.blocking { "from_blocking" } else { "from_async" };
    let from = Ident::new(from, Span::call_site());
    // Where there is no function there is no task.
    let cfgs: Vec<_> = function.attrs.iter().filter(|attr| attr.path().is_ident("cfg")).collect();
    quote! {
        #(#cfgs)*
        #[doc = #about]
        #[allow(non_camel_case_types)]
        #vis enum #ident {}

        #(#cfgs)*
        const _: () = {
            #item
            #(#takes)*

            impl #ident {
                /// A call of this task, for a client to submit.
                #[allow(dead_code, clippy::too_many_arguments)]
                #vis fn call(#(#names: #kinds),*) -> #work::Call<#output> {
                    #call
                }

                /// This task, submitted by the client when it is awaited.
                #[allow(dead_code, clippy::too_many_arguments)]
                #vis fn submit<'client>(
                    #client: &'client (impl ::umbel::client::AsClient + ?Sized),
                    #(#names: #kinds),*
                ) -> ::umbel::client::Submit<'client, #output> {
                    ::umbel::client::Submit::new(#client, Self::call(#(#names),*))
                }

                /// This task, submitted by the client and waited for when it is awaited.
                #[allow(dead_code, clippy::too_many_arguments)]
                #vis fn run<'client>(
                    #client: &'client (impl ::umbel::client::AsClient + ?Sized),
                    #(#names: #kinds),*
                ) -> ::umbel::client::Run<'client, #output> {
                    ::umbel::client::Run::new(#client, Self::call(#(#names),*))
                }
            }

            impl #work::Task for #ident {
                const NAME: &'static str = #name;
                type Output = #output;

                fn template() -> #work::declare::TaskTemplate {
                    #template
                }

                fn definition() -> #work::Definition {
                    #work::Definition::#from(<Self as #work::Task>::NAME, #handler)
                        .with_template(<Self as #work::Task>::template())
                        #resource
                }
            }

            #work::declare::inventory::submit! { #work::declare::Declared::of::<#ident>() }
        };
    }
}

/// The names of what is never shown.
fn hidden<'a>(options: &'a Options, signature: &'a Signature) -> Vec<&'a str> {
    // One that travels alone has no name there.
    let alone = match signature.args.as_slice() {
        [(name, _)] => Some(unraw(name)),
        _ => None,
    };
    let named = options.redact.iter().chain(&signature.redact).map(String::as_str);
    named.map(|name| if alone.as_deref() == Some(name) { "*" } else { name }).collect()
}

/// How arguments travel.
struct Travel {
    /// A type that has to be declared for it.
    item: TokenStream,
    /// The type that is read from JSON, called `args` where it is used.
    kind: TokenStream,
    /// What of the arguments is written as JSON.
    value: TokenStream,
    /// The arguments of the function, out of `args`.
    take: TokenStream,
}

fn travel(names: &[&Ident], kinds: &[&Type]) -> Travel {
    match (names, kinds) {
        ([], []) => Travel {
            item: quote! {},
            kind: quote! { ::umbel::work::NoArgs },
            value: quote! { ::umbel::work::NoArgs },
            take: quote! {},
        },
        ([name], [kind]) => Travel {
            item: quote! {},
            kind: quote! { #kind },
            value: quote! { #name },
            take: quote! { args },
        },
        _ => Travel {
            // The types of users are called otherwise.
            item: quote! {
                #[derive(
                    ::umbel::work::declare::serde::Serialize,
                    ::umbel::work::declare::serde::Deserialize,
                )]
                #[serde(crate = "::umbel::work::declare::serde", deny_unknown_fields)]
                struct __UmbelArgs { #(#names: #kinds),* }
            },
            kind: quote! { __UmbelArgs },
            value: quote! { __UmbelArgs { #(#names),* } },
            take: quote! { #(args.#names),* },
        },
    }
}

/// A call with these arguments, and what is said of each.
fn call(options: &Options, keys: &[Key], value: &TokenStream, work: &TokenStream) -> TokenStream {
    // As written here, so that an argument may have the same name.
    let names = (0..keys.len()).map(|at| format_ident!("key_{at}", span = Span::mixed_site()));
    let names: Vec<_> = names.collect();
    // Made before the arguments are moved.
    let made = keys.iter().zip(&names).map(|(key, name)| {
        let of = match key.args.as_slice() {
            [arg] => quote! { &#arg },
            args => quote! { &(#(&#args),*) },
        };
        quote! { let #name = #work::declare::Key::of(#of); }
    });
    let mut call = quote! { #work::Call::of::<Self>(&#value) };
    if !options.select.is_empty() {
        let labels = options.select.iter().map(|(key, value)| quote! { (#key, #value) });
        call = quote! { #call.select([#(#labels),*]) };
    }
    for (key, value) in &options.labels {
        call = quote! { #call.label(#key, #value) };
    }
    if let Some(name) = &options.display_name {
        call = quote! { #call.display_name(#name) };
    }
    for (key, name) in keys.iter().zip(&names) {
        let method = Ident::new(key.method, Span::call_site());
        call = quote! { #name.put(#call, #work::Call::#method) };
    }
    quote! { #(#made)* #call }
}

fn template(options: &Options, redact: &[&str], work: &TokenStream) -> TokenStream {
    let queue = given(options.queue.as_ref());
    let attempts = given(options.attempts);
    let backoff_ms = given(options.backoff_ms);
    let backoff_max_ms = given(options.backoff_max_ms);
    let backoff_list_ms =
        given(options.backoff_list_ms.as_ref().map(|list| quote! { &[#(#list),*] }));
    let time_limit_ms = given(options.time_limit_ms);
    let soft_limit_ms = given(options.soft_limit_ms);
    let expires_ms = given(options.expires_ms);
    let deadline_ms = given(options.deadline_ms);
    let crashes = given(options.crashes);
    let at_most_once = options.at_most_once;
    let priority = given(options.priority);
    let unique_scope = given(options.unique.until(work));
    let unique_policy = given(options.unique.if_exists(work));
    let concurrency = given(options.limits.concurrency);
    let rate = given(options.limits.rate.map(|rate| rate.written(work)));
    let exclusive = options.limits.exclusive;
    let lost_after_ms = given(options.lost_after_ms);
    let retention_ms = given(options.retention_ms);
    let ignore_result = options.ignore_result;
    quote! {
        #work::declare::Settings {
            queue: #queue,
            attempts: #attempts,
            backoff_ms: #backoff_ms,
            backoff_max_ms: #backoff_max_ms,
            backoff_list_ms: #backoff_list_ms,
            time_limit_ms: #time_limit_ms,
            soft_limit_ms: #soft_limit_ms,
            expires_ms: #expires_ms,
            deadline_ms: #deadline_ms,
            crashes: #crashes,
            at_most_once: #at_most_once,
            priority: #priority,
            unique_scope: #unique_scope,
            unique_policy: #unique_policy,
            concurrency: #concurrency,
            rate: #rate,
            exclusive: #exclusive,
            lost_after_ms: #lost_after_ms,
            retention_ms: #retention_ms,
            ignore_result: #ignore_result,
            redact: &[#(#redact),*],
        }
        .template(<Self as #work::Task>::NAME)
    }
}

fn given(option: Option<impl ToTokens>) -> TokenStream {
    match option {
        Some(value) => quote! { ::core::option::Option::Some(#value) },
        None => quote! { ::core::option::Option::None },
    }
}

fn handler(
    function: &ItemFn,
    signature: &Signature,
    kind: &TokenStream,
    take: &TokenStream,
) -> TokenStream {
    let ident = &function.sig.ident;
    let args =
        if signature.args.is_empty() { format_ident!("_args") } else { format_ident!("args") };
    let kinds = &signature.taken;
    let taken: Vec<_> = (0..kinds.len()).map(|at| format_ident!("taken_{at}")).collect();
    // The future of an async function is passed on as it is: no second one around it.
    quote! { |#(#taken: #kinds,)* #args: #kind| #ident(#(#taken,)* #take) }
}
