//! Fan-out: whoever posts has twenty thousand followers, and each gets a row in a database. The web service
//! submits one task and answers at once; the task writes the rows.
//!
//! ```sh
//! cargo run -p umbel-examples --example fanout
//! curl -i localhost:8080/posts --json '{"author": 1, "text": "by a task"}'
//! curl -i 'localhost:8080/posts?queue=no' --json '{"author": 1, "text": "while you wait"}'
//! curl localhost:8080/timeline/20000
//! ```
//!
//! With `--measure` it posts to itself, both ways, and tells how long the requests took and whether every
//! follower has every post: `cargo run --release -p umbel-examples --example fanout -- --measure`. How many
//! there are is said with `--followers` and `--posts`.
//!
//! `database.rs` is the database, `service.rs` the web service with its node and its task.
#![allow(clippy::print_stdout, reason = "it shows what came of it")]

mod database;
mod measure;
mod service;

use std::error::Error;
use std::path::Path;

use database::Database;
use measure::Plan;
use service::Service;

const ADDRESS: &str = "127.0.0.1:8080";
/// Where it keeps its data, unless it only measures.
const DATA: &str = "umbel-data/fanout";

/// What was typed.
struct Args {
    measure: bool,
    plan: Plan,
}

impl Args {
    fn read(mut words: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let mut args = Self { measure: false, plan: Plan { followers: 20_000, posts: 100 } };
        while let Some(word) = words.next() {
            let mut number = || -> Result<u32, Box<dyn Error>> {
                let text = words.next().ok_or("a number is missing at the end")?;
                Ok(text.parse().map_err(|why| format!("{text:?} is no number: {why}"))?)
            };
            match word.as_str() {
                "--measure" => args.measure = true,
                "--followers" => args.plan.followers = number()?,
                "--posts" => args.plan.posts = number()?,
                _ => {
                    return Err(
                        format!("{word:?}: there are --measure, --followers, --posts").into()
                    );
                }
            }
        }
        Ok(args)
    }
}

async fn serve(followers: u32) -> Result<(), Box<dyn Error>> {
    let dir = Path::new(DATA);
    std::fs::create_dir_all(dir)?;
    let database = Database::open(&dir.join("posts.sqlite"))?;
    database.follow(1, 1..=followers)?;
    let node = service::node(database.clone(), &dir.join("node")).await?;
    let service = Service::start(database, node.client(), ADDRESS)?;
    println!("author 1 has {followers} followers; post to http://{}/posts", service.address());
    tokio::signal::ctrl_c().await?;
    service.stop().await?;
    // Last: what was asked of the service may still be a task of it.
    node.stop().await;
    Ok(())
}

async fn measured(plan: &Plan) -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let database = Database::open(&dir.path().join("posts.sqlite"))?;
    let node = service::node(database.clone(), &dir.path().join("node")).await?;
    let service = Service::start(database, node.client(), "127.0.0.1:0")?;
    println!("{}", measure::measure(&service, plan).await?);
    service.stop().await?;
    node.stop().await;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::read(std::env::args().skip(1))?;
    if args.measure { measured(&args.plan).await } else { serve(args.plan.followers).await }
}
