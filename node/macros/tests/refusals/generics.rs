//! Functions that stand for many.

#[umbel_macros::task]
async fn any<T: Send>(value: T) -> Result<T, String> {
    Ok(value)
}

#[umbel_macros::task]
async fn borrowed<'a>(text: &'a str) -> Result<usize, String> {
    Ok(text.len())
}

fn main() {}
