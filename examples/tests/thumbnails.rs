//! The example of thumbnails: what the task makes of an album, and what it says meanwhile.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, also outside of test functions")]

#[path = "../thumbnails/album.rs"]
mod album;
#[path = "../thumbnails/picture.rs"]
mod picture;

use std::fs;

use umbel::client::Event;
use umbel::testing::{Cluster, Inline};
use umbel::{Progress, TaskState};

use self::album::{SIDE, Summary, make_thumbnails};
use self::picture::Picture;

/// Four pictures, and a file that is none.
fn make_up() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for seed in 0..4 {
        let picture = Picture::landscape(240, 160, seed);
        picture.write(&dir.path().join(format!("{seed}.ppm"))).unwrap();
    }
    fs::write(dir.path().join("broken.ppm"), "P6\n9 9\n255\nxyz").unwrap();
    fs::write(dir.path().join("notes.txt"), "not a picture").unwrap();
    dir
}

#[tokio::test]
async fn an_album_gets_its_thumbnails() {
    let dir = make_up();
    let tasks = Inline::builder().build().unwrap();
    let handle = make_thumbnails::submit(&tasks.client(), dir.path().to_owned()).await.unwrap();
    let summary: Summary = handle.result().await.unwrap();
    assert_eq!((summary.made, summary.broken), (4, vec!["broken.ppm".to_owned()]));
    let progress = Progress { message: Some("broken.ppm".into()), ..Progress::new(5, 5) };
    assert_eq!(tasks.progress(handle.id()), Some(progress));
    let lines = tasks.lines(handle.id());
    assert!(lines[0].text.starts_with("0.ppm: 240x160 to 120x80 in "), "{lines:?}");
    assert_eq!(&*lines[4].text, "broken.ppm: this is no picture");
    assert_eq!(
        lines.iter().map(|line| line.is_error).collect::<Vec<_>>(),
        [false, false, false, false, true]
    );
    for seed in 0..4 {
        let small = Picture::read(&dir.path().join(format!("thumbnails/{seed}.ppm"))).unwrap();
        assert_eq!((small.width, small.height), (SIDE, SIDE * 2 / 3));
        assert_eq!(small, Picture::landscape(240, 160, seed).thumbnail(SIDE));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_node_tells_of_each_picture() {
    let dir = make_up();
    let config = umbel::config::Config::parse("cluster.toml", "[queues.images]\nslots = 2\n");
    let cluster = Cluster::builder().config(config.unwrap()).start().await.unwrap();
    let client = cluster.client();
    // It begins when it is watched.
    client.pause_queue("images").await.unwrap();
    let handle = make_thumbnails::submit(&client, dir.path().to_owned()).await.unwrap();
    let (mut watch, mut lines, mut state) = (handle.watch(), 0, None);
    let (first, resumed) = tokio::join!(watch.next(), client.resume_queue("images"));
    resumed.unwrap();
    let mut next = first.unwrap();
    while let Some(event) = next {
        match event {
            Event::Log(_) => lines += 1,
            Event::Ended(view) => state = Some(view.state),
            Event::Started { .. } | Event::Progress(_) => {}
            Event::Missed(lines) => panic!("{lines} lines are missed"),
        }
        next = watch.next().await.unwrap();
    }
    assert_eq!(state, Some(TaskState::Succeeded));
    assert_eq!(lines, 5);
    cluster.stop().await;
}
