//! Options that are unknown, given twice or out of range.

#[umbel_macros::task(backoff = "soon")]
async fn backoff() -> Result<(), String> {
    Ok(())
}

#[umbel_macros::task(time_limit = "0s")]
async fn time_limit() -> Result<(), String> {
    Ok(())
}

#[umbel_macros::task(time_limit = 30)]
async fn no_unit() -> Result<(), String> {
    Ok(())
}

#[umbel_macros::task(priority = 10)]
async fn priority() -> Result<(), String> {
    Ok(())
}

#[umbel_macros::task(attempts = 0)]
async fn attempts() -> Result<(), String> {
    Ok(())
}

#[umbel_macros::task(name = "two words")]
async fn name() -> Result<(), String> {
    Ok(())
}

#[umbel_macros::task(queue = "a", queue = "b")]
async fn twice() -> Result<(), String> {
    Ok(())
}

#[umbel_macros::task(colour = "red")]
async fn unknown() -> Result<(), String> {
    Ok(())
}

#[umbel_macros::task(attempts = 3, retries = 2)]
async fn retries() -> Result<(), String> {
    Ok(())
}

#[umbel_macros::task(queue = "a", max_retries)]
async fn max_retries() -> Result<(), String> {
    Ok(())
}

#[umbel_macros::task(time_limit = "400d")]
async fn too_long() -> Result<(), String> {
    Ok(())
}

#[umbel_macros::task(backoff = "10m", backoff_max = "5s")]
async fn first_is_longest() -> Result<(), String> {
    Ok(())
}

#[umbel_macros::task(redact = [])]
async fn nothing_hidden() -> Result<(), String> {
    Ok(())
}

#[umbel_macros::task(redact = ["a", ""])]
async fn nameless() -> Result<(), String> {
    Ok(())
}

fn main() {}
