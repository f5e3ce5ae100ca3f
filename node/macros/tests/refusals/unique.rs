//! Keys of what is no argument, and what is said of keys that are not there.

struct Context;
struct State<T>(T);

#[umbel_macros::task(unique_by = "user")]
async fn unknown(user_id: u64, month: u8) -> Result<u64, String> {
    Ok(user_id + u64::from(month))
}

#[umbel_macros::task(unique_by = "month, user, year")]
async fn two_unknown(user_id: u64, month: u8) -> Result<u64, String> {
    Ok(user_id + u64::from(month))
}

#[umbel_macros::task(unique_by = "anything")]
async fn without_arguments() -> Result<(), String> {
    Ok(())
}

#[umbel_macros::task(unique_by = "prices")]
async fn of_state(prices: State<u64>, n: u64) -> Result<u64, String> {
    Ok(n + prices.0)
}

#[umbel_macros::task(unique_by = "ctx, n")]
async fn of_context(ctx: Context, n: u64) -> Result<u64, String> {
    drop(ctx);
    Ok(n)
}

#[umbel_macros::task(unique_by = "")]
async fn empty(n: u64) -> Result<u64, String> {
    Ok(n)
}

#[umbel_macros::task(unique_by = "n,")]
async fn empty_end(n: u64) -> Result<u64, String> {
    Ok(n)
}

#[umbel_macros::task(unique_by = "user.id")]
async fn a_path(user: u64) -> Result<u64, String> {
    Ok(user)
}

#[umbel_macros::task(unique_by = "n, n")]
async fn twice(n: u64) -> Result<u64, String> {
    Ok(n)
}

#[umbel_macros::task(unique_by = n)]
async fn unquoted(n: u64) -> Result<u64, String> {
    Ok(n)
}

#[umbel_macros::task(unique_until = "started")]
async fn no_key(n: u64) -> Result<u64, String> {
    Ok(n)
}

#[umbel_macros::task(if_exists = "refuse")]
async fn no_key_either(n: u64) -> Result<u64, String> {
    Ok(n)
}

#[umbel_macros::task(unique_by = "n", unique_until = "done")]
async fn until_what(n: u64) -> Result<u64, String> {
    Ok(n)
}

#[umbel_macros::task(unique_by = "n", unique_until = "400d")]
async fn too_long(n: u64) -> Result<u64, String> {
    Ok(n)
}

#[umbel_macros::task(unique_by = "n", if_exists = "ignore")]
async fn ignored(n: u64) -> Result<u64, String> {
    Ok(n)
}

fn main() {}
