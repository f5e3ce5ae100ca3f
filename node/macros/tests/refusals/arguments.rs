//! Arguments that cannot travel, or not under a name.

struct Context;

#[umbel_macros::task]
async fn tuple((a, b): (u64, u64)) -> Result<u64, String> {
    Ok(a + b)
}

#[umbel_macros::task]
async fn ignored(_: u64, b: u64) -> Result<u64, String> {
    Ok(b)
}

#[umbel_macros::task]
async fn reference(text: &str) -> Result<usize, String> {
    Ok(text.len())
}

#[umbel_macros::task]
async fn opaque(value: impl ToString) -> Result<String, String> {
    Ok(value.to_string())
}

#[umbel_macros::task]
async fn late(n: u64, ctx: Context) -> Result<u64, String> {
    drop(ctx);
    Ok(n)
}

fn main() {}
