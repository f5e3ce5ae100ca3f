//! Selections of nodes, labels and names for people that are none, and fairness keys of what is no argument.

struct State<T>(T);

#[umbel_macros::task(select = "role")]
async fn no_value() -> Result<(), String> {
    Ok(())
}

#[umbel_macros::task(select = "role=db, zone=north west")]
async fn no_label() -> Result<(), String> {
    Ok(())
}

#[umbel_macros::task(select = "role=db, role=web")]
async fn twice() -> Result<(), String> {
    Ok(())
}

#[umbel_macros::task(select = "")]
async fn nothing() -> Result<(), String> {
    Ok(())
}

#[umbel_macros::task(labels = "team")]
async fn no_value_either() -> Result<(), String> {
    Ok(())
}

#[umbel_macros::task(display_name = " ")]
async fn blank() -> Result<(), String> {
    Ok(())
}

#[umbel_macros::task(display_name = "two\nlines")]
async fn lines() -> Result<(), String> {
    Ok(())
}

#[umbel_macros::task(fair_by = "tenant", unique_by = "user")]
async fn unknown(n: u64) -> Result<u64, String> {
    Ok(n)
}

#[umbel_macros::task(fair_by = "prices")]
async fn of_state(prices: State<u64>, n: u64) -> Result<u64, String> {
    Ok(n + prices.0)
}

fn main() {}
