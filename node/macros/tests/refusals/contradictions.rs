//! Options that are right by themselves and contradict each other.

#[umbel_macros::task(backoff = "1s", backoff_list = ["1s", "5m"])]
async fn two_ways() -> Result<(), String> {
    Ok(())
}

#[umbel_macros::task(at_most_once, attempts = 3)]
async fn once_or_thrice() -> Result<(), String> {
    Ok(())
}

#[umbel_macros::task(at_most_once, backoff_max = "1m")]
async fn once_after_a_pause() -> Result<(), String> {
    Ok(())
}

#[umbel_macros::task(at_most_once, crashes = 2)]
async fn once_and_again() -> Result<(), String> {
    Ok(())
}

#[umbel_macros::task(soft_limit = "1h", deadline = "1h")]
async fn never() -> Result<(), String> {
    Ok(())
}

#[umbel_macros::task(soft_limit = "30s", time_limit = "30s")]
async fn too_late() -> Result<(), String> {
    Ok(())
}

#[umbel_macros::task(backoff_list = [])]
async fn no_pause() -> Result<(), String> {
    Ok(())
}

#[umbel_macros::task(backoff_list = ["soon"])]
async fn soon() -> Result<(), String> {
    Ok(())
}

fn main() {}
