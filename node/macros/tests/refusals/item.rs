//! What is no function, or returns nothing.

#[umbel_macros::task]
struct Add {
    a: u64,
}

#[umbel_macros::task]
async fn silent(n: u64) {
    drop(n);
}

fn main() {}
