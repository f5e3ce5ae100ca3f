//! A method.

struct Mailer;

impl Mailer {
    #[umbel_macros::task]
    async fn send(&self, to: String) -> Result<(), String> {
        Err(to)
    }
}

fn main() {}
