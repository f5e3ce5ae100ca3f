//! Thumbnails of whole albums: work that keeps all cores busy, and that one wants to see coming along.
//!
//! It makes up an album for each core, leaves each to a task, and watches all of them while they run:
//!
//! ```text
//! cargo run --release -p umbel-examples --example thumbnails
//! ```
#![allow(clippy::print_stdout, reason = "it shows what came of it")]

mod album;
mod picture;

use std::error::Error;
use std::path::Path;
use std::thread::available_parallelism;
use std::time::Instant;

use tokio::task::JoinSet;
use umbel::Node;
use umbel::client::{Event, Watch};
use umbel::config::Config;

use self::album::{Summary, make_thumbnails};
use self::picture::Picture;

const PICTURES: u64 = 12;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let cores = available_parallelism()?.get();
    let dir = tempfile::tempdir()?;
    for album in 0..cores {
        make_up(&dir.path().join(format!("album-{album}")), album as u64 * PICTURES)?;
    }

    // Its own slots: other work neither waits for pictures nor holds them up.
    let config = format!("[queues.images]\nslots = {cores}\n");
    let node = Node::builder()
        .config(Config::parse("cluster.toml", &config)?)
        .listen(([127, 0, 0, 1], 0).into())
        .data(dir.path().join("data"))
        .start()
        .await?;
    node.joined().await?;
    let client = node.client();

    let began = Instant::now();
    let mut watching = JoinSet::new();
    let mut handles = Vec::new();
    for number in 0..cores {
        let name = format!("album-{number}");
        let handle = make_thumbnails::submit(&client, dir.path().join(&name)).await?;
        watching.spawn(watch(name, handle.watch()));
        handles.push(handle);
    }
    while let Some(watched) = watching.join_next().await {
        watched??;
    }
    let mut made = 0;
    for handle in handles {
        let summary: Summary = handle.result().await?;
        made += summary.made;
    }
    println!("{made} thumbnails on {cores} cores in {:.1?}", began.elapsed());
    node.stop().await;
    Ok(())
}

/// Prints what a task says, as it says it.
async fn watch(name: String, mut watch: Watch) -> Result<(), umbel::ClientError> {
    while let Some(event) = watch.next().await? {
        match event {
            Event::Started { attempt, .. } => println!("{name}: attempt {attempt} has begun"),
            Event::Progress(progress) => println!("{name}: {progress}"),
            Event::Log(line) => println!("{name}: {}", line.text),
            Event::Missed(lines) => println!("{name}: ({lines} lines more)"),
            Event::Ended(view) => println!("{name}: {}", view.state.as_str()),
        }
    }
    Ok(())
}

fn make_up(dir: &Path, first: u64) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)?;
    for seed in first..first + PICTURES {
        Picture::landscape(640, 420, seed).write(&dir.join(format!("picture-{seed:03}.ppm")))?;
    }
    Ok(())
}
