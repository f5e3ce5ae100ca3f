//! The example of a fleet with one crontab, and the job of it that nobody wants to wait for.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, also outside of test functions")]

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use tokio::time::timeout;
use umbel::config::Config;
use umbel::protocol::job::{TickEnd, Verdict};
use umbel::testing::Cluster;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/cron_fleet/cluster.toml");
/// The nodes, each with its role.
const FLEET: [(&str, &str); 3] = [("web-1", "web"), ("db-1", "db"), ("batch-1", "batch")];
/// Far longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn the_backup_of_the_next_working_nights_is_made_where_the_databases_are() {
    let mut config = Config::load(Path::new(FILE)).unwrap();
    config.jobs.retain(|job| job.name.as_str() == "backup");
    let cluster = Cluster::builder().nodes(FLEET.len()).config(config).each(|place, node| {
        let (name, role) = FLEET[place];
        node.name(name).label("role", role)
    });
    let cluster = cluster.start().await.unwrap();
    let client = cluster.client();
    let name = "backup".parse().unwrap();
    let known = async {
        while client.job(&name).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, known).await.expect("the file is taken over in time");

    for nights in 1..=2 {
        let next = client.job(&name).await.unwrap().next.expect("it fires again and again");
        cluster.clock().advance_to(UNIX_EPOCH + Duration::from_millis(next.as_millis())).await;
        let made = timeout(PATIENCE, async {
            loop {
                let view = client.job(&name).await.unwrap();
                if view.counts.succeeded == nights {
                    return view;
                }
                tokio::task::yield_now().await;
            }
        });
        let view = made.await.expect("in time");
        let tick = view.history.iter().next_back().unwrap();
        assert_eq!((tick.tick, tick.verdict), (next, Verdict::Fired), "{tick:?}");
        let [run] = &tick.runs[..] else { panic!("{tick:?}") };
        assert_eq!(run.node, Some(cluster.node(1).id()), "there the databases are");
        assert_eq!(run.end, Some(TickEnd::Succeeded));
    }
    cluster.stop().await;
}
