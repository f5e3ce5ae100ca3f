//! A plain function that does not say that it blocks, and an async one that says so.

#[umbel_macros::task]
fn plain(n: u64) -> Result<u64, String> {
    Ok(n)
}

#[umbel_macros::task(blocking)]
async fn both(n: u64) -> Result<u64, String> {
    Ok(n)
}

fn main() {}
