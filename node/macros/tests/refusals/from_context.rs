//! What is taken of the context of a run, in a place or a way that cannot be.

struct Context;
struct State<T>(T);
struct Tenant;

#[umbel_macros::task]
async fn late(n: u64, state: State<u64>) -> Result<u64, String> {
    Ok(n + state.0)
}

#[umbel_macros::task]
async fn between(ctx: Context, n: u64, #[from_context] tenant: Tenant, m: u64) -> Result<u64, String> {
    drop((ctx, tenant));
    Ok(n + m)
}

#[umbel_macros::task]
async fn borrowed(ctx: &Context, #[from_context] tenant: &Tenant) -> Result<(), String> {
    let _ = (ctx, tenant);
    Ok(())
}

#[umbel_macros::task]
async fn opaque(#[from_context] value: impl ToString) -> Result<String, String> {
    Ok(value.to_string())
}

#[umbel_macros::task]
async fn with_options(#[from_context(tenant)] tenant: Tenant) -> Result<(), String> {
    drop(tenant);
    Ok(())
}

#[umbel_macros::task]
async fn hidden(#[redact] _ctx: Context) -> Result<(), String> {
    Ok(())
}

#[umbel_macros::task]
async fn hidden_in_part(#[redact(half)] _name: String) -> Result<(), String> {
    Ok(())
}

#[umbel_macros::task]
async fn many(
    _a: Context,
    _b: Context,
    _c: Context,
    _d: State<u8>,
    _e: State<u16>,
    _f: State<u32>,
    _g: State<u64>,
) -> Result<(), String> {
    Ok(())
}

fn main() {}
