//! How long a request takes with the queue and without it, seen from outside, over one connection.

use std::error::Error;
use std::fmt;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use umbel::TaskId;

use crate::service::Service;

/// How much is measured, each way.
pub(crate) struct Plan {
    pub(crate) followers: u32,
    pub(crate) posts: u32,
}

/// What was measured.
pub(crate) struct Report {
    followers: u32,
    within: Course,
    queued: Course,
}

/// What was measured one way.
struct Course {
    /// How long the requests took, the shortest first.
    requests: Vec<Duration>,
    /// From the first request until the last row was written.
    whole: Duration,
}

/// Posts to `service` both ways. That every follower has every post in the end is part of it: else this
/// is an error.
pub(crate) async fn measure(service: &Service, plan: &Plan) -> Result<Report, Box<dyn Error>> {
    let within = course(service, plan, 1, "/posts?queue=no").await?;
    let queued = course(service, plan, 2, "/posts").await?;
    Ok(Report { followers: plan.followers, within, queued })
}

/// Has `author` post, with followers of its own, one post after the other.
async fn course(
    service: &Service,
    plan: &Plan,
    author: u32,
    path: &str,
) -> Result<Course, Box<dyn Error>> {
    let Plan { followers, posts } = *plan;
    // Nobody follows both: a row costs more in a long timeline.
    service.database().follow(author, (author - 1) * followers + 1..=author * followers)?;
    let mut connection = Connection::open(service).await?;
    let (mut requests, mut ids) = (Vec::new(), Vec::new());
    let began = Instant::now();
    for count in 0..posts {
        let body = json!({ "author": author, "text": format!("post {count}") });
        let sent = Instant::now();
        let answer = connection.post(path, &body).await?;
        requests.push(sent.elapsed());
        ids.push(serde_json::from_value::<TaskId>(answer["id"].clone())?);
    }
    if !path.contains("queue=no") {
        for id in ids {
            service.client().wait(id, None).await?;
        }
    }
    let whole = began.elapsed();
    let (known, lacking) = service.database().lacking(author)?;
    if (known, lacking) != (posts, 0) {
        return Err(format!("{known} of {posts} posts are there, {lacking} rows are not").into());
    }
    requests.sort_unstable();
    Ok(Course { requests, whole })
}

impl Course {
    fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.requests.len() * percent).div_ceil(100);
        self.requests.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { followers, within, queued } = self;
        let posts = queued.requests.len();
        writeln!(f, "{posts} posts to {followers} followers each way")?;
        writeln!(
            f,
            "{:16} {:>12} {:>12} {:>14}",
            "", "request p50", "request p99", "all rows after"
        )?;
        for (way, course) in [("in the request", within), ("as a task", queued)] {
            let millis = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1e3);
            let (p50, p99) = (millis(course.percentile(50)), millis(course.percentile(99)));
            let whole = format!("{:.2} s", course.whole.as_secs_f64());
            writeln!(f, "{way:16} {p50:>12} {p99:>12} {whole:>14}")?;
        }
        write!(f, "every follower has every post")
    }
}

/// A connection that is kept, as a browser or a proxy does.
struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    async fn open(service: &Service) -> Result<Self, Box<dyn Error>> {
        let stream = TcpStream::connect(service.address()).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Posts `body`; what was answered, if that is a success.
    async fn post(&mut self, path: &str, body: &Value) -> Result<Value, Box<dyn Error>> {
        let body = body.to_string();
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        );
        self.stream.write_all(request.as_bytes()).await?;
        let (mut status, mut length) = (String::new(), 0);
        self.stream.read_line(&mut status).await?;
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).await?;
            match line.to_ascii_lowercase().trim_end().split_once(": ") {
                Some(("content-length", value)) => length = value.parse()?,
                Some(_) => {}
                None => break,
            }
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer).await?;
        if !status.starts_with("HTTP/1.1 20") {
            return Err(
                format!("{}: {}", status.trim_end(), String::from_utf8_lossy(&answer)).into()
            );
        }
        Ok(serde_json::from_slice(&answer)?)
    }
}
