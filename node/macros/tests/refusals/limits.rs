//! Limits without a key, keys without a limit, and limits that are none.

#[umbel_macros::task(concurrency = 3)]
async fn no_key(n: u64) -> Result<u64, String> {
    Ok(n)
}

#[umbel_macros::task(rate = "100/s")]
async fn no_key_of_a_rate(n: u64) -> Result<u64, String> {
    Ok(n)
}

#[umbel_macros::task(exclusive)]
async fn no_key_alone(n: u64) -> Result<u64, String> {
    Ok(n)
}

#[umbel_macros::task(limit_by = "n")]
async fn no_limit(n: u64) -> Result<u64, String> {
    Ok(n)
}

#[umbel_macros::task(limit_by = "n", lost_after = "15s")]
async fn no_limit_either(n: u64) -> Result<u64, String> {
    Ok(n)
}

#[umbel_macros::task(limit_by = "n", exclusive, concurrency = 1)]
async fn alone_with_others(n: u64) -> Result<u64, String> {
    Ok(n)
}

#[umbel_macros::task(limit_by = "user, m", concurrency = 3)]
async fn unknown(n: u64, m: u64) -> Result<u64, String> {
    Ok(n + m)
}

#[umbel_macros::task(limit_by = "", concurrency = 3)]
async fn nothing(n: u64) -> Result<u64, String> {
    Ok(n)
}

#[umbel_macros::task(limit_by = "n", concurrency = 0)]
async fn none_at_once(n: u64) -> Result<u64, String> {
    Ok(n)
}

#[umbel_macros::task(limit_by = "n", concurrency = 10001)]
async fn too_many_at_once(n: u64) -> Result<u64, String> {
    Ok(n)
}

#[umbel_macros::task(limit_by = "n", rate = "100")]
async fn in_how_long(n: u64) -> Result<u64, String> {
    Ok(n)
}

#[umbel_macros::task(limit_by = "n", rate = "20/m")]
async fn months_or_minutes(n: u64) -> Result<u64, String> {
    Ok(n)
}

#[umbel_macros::task(limit_by = "n", rate = 100)]
async fn unquoted(n: u64) -> Result<u64, String> {
    Ok(n)
}

#[umbel_macros::task(lost_after = "4s")]
async fn too_soon() -> Result<(), String> {
    Ok(())
}

#[umbel_macros::task(lost_after = "2d")]
async fn too_late() -> Result<(), String> {
    Ok(())
}

#[umbel_macros::task(retention = "1ms")]
async fn too_brief() -> Result<(), String> {
    Ok(())
}

fn main() {}
